//! Names of labels in an address, where not every character may stand.
//!
//! Input: a name, perhaps escaped as `U__`. Output: the name that is meant. The escaping is
//! Prometheus' "values" scheme: `_` is written `__`, any other character outside of the old names
//! `_HEX_` (<https://prometheus.io/docs/instrumenting/escaping_schemes/>).

/// The name that `text` means; `text` itself where it is not escaped, or not well.
pub(crate) fn unescaped(text: &str) -> String {
    let escaped = text.strip_prefix("U__").and_then(unescape);
    escaped.unwrap_or_else(|| text.to_owned())
}

fn unescape(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('_') {
        let (plain, after) = rest.split_at_checked(at)?;
        name.push_str(plain);
        let after = after.strip_prefix('_')?;
        let (code, after) = after.split_once('_')?;
        name.push(match code {
            "" => '_',
            _ if code.len() > HEX_MAX || !code.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                return None;
            }
            _ => char::from_u32(u32::from_str_radix(code, 16).ok()?)?,
        });
        rest = after;
    }
    name.push_str(rest);
    Some(name)
}

/// Digits of the largest character.
const HEX_MAX: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read_and_others_left_alone() {
        for (text, name) in [
            ("job", "job"),
            ("__name__", "__name__"),
            ("U__my_2e_metric", "my.metric"),
            ("U__a__b_20_c", "a_b c"),
            ("U___1f600_", "\u{1f600}"),
            ("U__", ""),
            ("U__plain", "plain"),
            ("U__a_2e", "U__a_2e"),
            ("U__a_zz_", "U__a_zz_"),
            ("U__a_+2e_", "U__a_+2e_"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__a_0000041_", "U__a_0000041_"),
            ("U__a_", "U__a_"),
        ] {
            assert_eq!(unescaped(text), name, "{text}");
        }
    }
}

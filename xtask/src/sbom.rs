//! `cargo xtask sbom [FILE]`: what a release is made of, as a CycloneDX 1.5 document in JSON.
//!
//! Input: `Cargo.lock` and what cargo knows of the packages in it that the crates of the engine
//! need in use (not for tests). Output: each with version, licence and checksum, and who needs whom.
//! The same lock file gives the same document: it has no date and no random number.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{Metadata, MetadataCommand, Package, PackageId};
use serde_json::{Value, json};

use crate::Outcome;
use crate::args::Args;
use crate::edges::is_in_use;
use crate::shell::root;

/// The crate whose users get the rest.
const SUBJECT: &str = "treering";

/// Prints the document, or writes it to a file.
pub(crate) fn run(mut args: Args) -> Outcome {
    let file = args.positional();
    args.done()?;
    let text = serde_json::to_string_pretty(&document()?).map_err(|error| error.to_string())?;
    match file {
        Some(file) => std::fs::write(&file, text).map_err(|error| format!("{file}: {error}")),
        None => {
            println!("{text}");
            Ok(())
        }
    }
}

fn document() -> Outcome<Value> {
    let metadata = MetadataCommand::new()
        .current_dir(root())
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .map_err(|error| error.to_string())?;
    let needed = needed(&metadata)?;
    let checksums = checksums()?;
    let packages = || {
        metadata
            .packages
            .iter()
            .filter(|it| needed.contains_key(&it.id))
    };
    let references: BTreeMap<&PackageId, String> = packages()
        .map(|package| (&package.id, reference(package)))
        .collect();
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    let mut subject = Value::Null;
    for package in packages() {
        let component = component(package, &checksums);
        match package.name.as_str() == SUBJECT {
            true => subject = component,
            false => components.push(component),
        }
        let on = needed.get(&package.id).into_iter().flatten();
        let on: BTreeSet<_> = on.filter_map(|id| references.get(id)).collect();
        dependencies.push(json!({ "ref": reference(package), "dependsOn": on }));
    }
    let by_name = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    components.sort_by_key(|value| by_name(value, "bom-ref"));
    dependencies.sort_by_key(|value| by_name(value, "ref"));
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": subject },
        "components": components,
        "dependencies": dependencies,
    }))
}

/// The packages that the subject needs in use, each with those that it needs itself.
fn needed(metadata: &Metadata) -> Outcome<BTreeMap<PackageId, Vec<PackageId>>> {
    let resolve = metadata.resolve.as_ref().ok_or("cargo resolved nothing")?;
    let subject = metadata
        .packages
        .iter()
        .find(|it| it.name.as_str() == SUBJECT);
    let mut open: Vec<_> = subject.map(|it| it.id.clone()).into_iter().collect();
    let mut needed = BTreeMap::new();
    while let Some(id) = open.pop() {
        if needed.contains_key(&id) {
            continue;
        }
        let node = resolve.nodes.iter().find(|node| node.id == id);
        let in_use = |kinds: &[cargo_metadata::DepKindInfo]| {
            kinds
                .iter()
                .any(|info| is_in_use(info.kind, info.target.as_ref()))
        };
        let on: Vec<PackageId> = node
            .into_iter()
            .flat_map(|node| &node.deps)
            .filter(|dependency| in_use(&dependency.dep_kinds))
            .map(|dependency| dependency.pkg.clone())
            .collect();
        open.extend(on.iter().cloned());
        needed.insert(id, on);
    }
    Ok(needed)
}

fn component(package: &Package, checksums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) = (package.name.to_string(), package.version.to_string());
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": name,
        "version": version,
        "purl": reference(package),
    });
    if let Some(licence) = &package.license {
        // The slash of old manifests means OR.
        let expression = licence.replace('/', " OR ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    if let Some(checksum) = checksums.get(&(name, version)) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

/// The checksums of `Cargo.lock`, by name and version.
fn checksums() -> Outcome<BTreeMap<(String, String), String>> {
    let path = root().join("Cargo.lock");
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    let mut checksums = BTreeMap::new();
    for package in text.split("[[package]]") {
        let field = |name: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| {
                let value = line.strip_prefix(name)?.strip_prefix(" = ")?;
                Some(value.trim_matches('"').to_owned())
            })
        };
        if let (Some(name), Some(version), Some(checksum)) =
            (field("name"), field("version"), field("checksum"))
        {
            checksums.insert((name, version), checksum);
        }
    }
    Ok(checksums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_use_is_named_with_licence_and_checksum() {
        let document = document().unwrap();
        assert_eq!(document["metadata"]["component"]["name"], SUBJECT);
        let components = document["components"].as_array().unwrap();
        let named = |name: &str| components.iter().find(|it| it["name"] == name);
        assert!(named("parking_lot").is_some() && named("treering-codec").is_some());
        assert!(named("proptest").is_none(), "for tests only");
        for component in components {
            let ours = component["name"].as_str().unwrap().starts_with(SUBJECT);
            assert!(component["licenses"].is_array(), "{component}");
            assert!(ours || component["hashes"].is_array(), "{component}");
        }
    }
}

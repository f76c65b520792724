//! As much of HTTP/1.1 as the servers beside ours speak (RFC 9112).
//!
//! Input: requests to an address of this machine. Output: status and body, by one connection that is
//! kept open and made anew when the server has closed it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::Result;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(300);
/// Larger bodies are refused.
const BODY_MAX: u64 = 1 << 30;

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

/// A port of this machine that nobody listened on a moment ago.
pub fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Client {
    /// A client that connects when it is first asked.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    /// The body of the answer to GET; a status other than 2xx is an error.
    pub fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.successful("GET", path, &[], &[])
    }

    /// The body of the answer to POST; a status other than 2xx is an error.
    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Vec<u8>> {
        self.successful("POST", path, headers, body)
    }

    fn successful(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Vec<u8>> {
        let answer = self.send(method, path, headers, body)?;
        match answer.status {
            200..=299 => Ok(answer.body),
            status => {
                let text = String::from_utf8_lossy(&answer.body);
                let text: String = text.chars().take(500).collect();
                Err(format!("{method} {path}: status {status}: {text}").into())
            }
        }
    }

    /// The whole answer, whatever its status.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let address = self.address;
        let length = body.len();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(address)?,
        };
        connection.get_mut().write_all(&request)?;
        let answer = Answer::read(&mut connection)?;
        if !answer.is_last {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::with_capacity(64 << 10, stream))
}

/// Bytes of a parameter of a query, all but letters and digits escaped.
pub fn escape(text: &str) -> String {
    let bytes = text.bytes();
    let escaped = bytes.map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    escaped.collect()
}

/// Status and body.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// Without what HTTP put around it.
    pub body: Vec<u8>,
    /// Whether the server closes the connection.
    is_last: bool,
}

impl Answer {
    fn read(from: &mut impl BufRead) -> Result<Self> {
        let first = line(from)?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status: u16 = status.ok_or_else(|| format!("not HTTP: {first:?}"))?;
        let (mut length, mut is_chunked, mut is_last) = (None, false, false);
        loop {
            let header = line(from)?;
            let Some((name, value)) = header.split_once(':') else {
                break;
            };
            let value = value.trim().to_ascii_lowercase();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.parse::<u64>()?),
                "transfer-encoding" => is_chunked = value == "chunked",
                "connection" => is_last = value == "close",
                _ => {}
            }
        }
        let mut body = Vec::new();
        match (is_chunked, length) {
            (true, _) => chunks(from, &mut body)?,
            (false, Some(length)) => exactly(from, length, &mut body)?,
            (false, None) => is_last |= status != 204,
        }
        Ok(Self {
            status,
            body,
            is_last,
        })
    }
}

fn chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let size = line(from)?;
        let size = size.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size.trim(), 16)?;
        exactly(from, size, body)?;
        line(from)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn exactly(from: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> Result<()> {
    if length > BODY_MAX {
        return Err(format!("a body of {length} bytes").into());
    }
    let read = from.take(length).read_to_end(body)? as u64;
    if read < length {
        return Err(format!("{read} bytes of a body of {length}").into());
    }
    Ok(())
}

/// A line without its end.
fn line(from: &mut impl BufRead) -> Result<String> {
    let mut bytes = Vec::new();
    from.take(64 << 10).read_until(b'\n', &mut bytes)?;
    let text = String::from_utf8(bytes)?;
    match text.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None => Err(format!("the connection ended in {text:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut text: &str) -> Result<(Answer, String)> {
        let mut bytes = text.as_bytes();
        let answer = Answer::read(&mut bytes)?;
        text = std::str::from_utf8(bytes)?;
        Ok((answer, text.to_owned()))
    }

    #[test]
    fn bodies_end_where_they_say() {
        let (answer, rest) =
            read("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nX: y\r\n\r\nabcHTTP").unwrap();
        assert_eq!(
            (answer.status, &answer.body[..], answer.is_last),
            (200, &b"abc"[..], false)
        );
        assert_eq!(rest, "HTTP");
        let chunked = "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                       3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\n\r\nrest";
        let (answer, rest) = read(chunked).unwrap();
        assert_eq!((answer.status, answer.is_last), (400, true));
        assert_eq!(answer.body, b"abc0123456789abcdef");
        assert_eq!(rest, "rest");
        let (answer, _) = read("HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        assert!(!answer.is_last && answer.body.is_empty());
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert!(read(whole).is_ok());
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        assert!(read("SSH-2.0\r\n\r\n").is_err());
        assert!(read("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").is_err());
    }

    #[test]
    fn parameters_are_escaped() {
        assert_eq!(
            escape("max(a{b=~\"c|d\"}[1m])"),
            "max%28a%7Bb%3D%7E%22c%7Cd%22%7D%5B1m%5D%29"
        );
    }
}

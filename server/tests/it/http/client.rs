//! A server in this process, and a small blocking client of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;

use prost::Message;
use serde_json::Value;
use treering::Db;
use treering_promql::Features;
use treering_server::http::{Server, Stop};

use super::messages::WriteRequest;

/// A server of a database in memory, ended when dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) db: Db,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Served {
    pub(crate) fn new(features: Features) -> Self {
        let db = Db::in_memory().unwrap();
        let server = Server::bind(db.clone(), "127.0.0.1:0", features).unwrap();
        let (address, stop) = (server.address(), Stop::new());
        let until = stop.clone();
        let thread = Some(std::thread::spawn(move || server.run(&until)));
        Self {
            address,
            db,
            stop,
            thread,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ends it; what it said at its end.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        self.stop.stop();
        match self.thread.take() {
            Some(thread) => thread.join().unwrap(),
            None => Ok(()),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let ended = self.end();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// One connection, kept alive.
pub(crate) struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Lines of the head, in small letters.
    pub(crate) head: Vec<String>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.iter().find_map(|line| line.strip_prefix(&prefix))
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            address,
            stream: BufReader::new(stream),
        }
    }

    /// `GET` of a path with its parameters.
    pub(crate) fn get(&mut self, path: &str, params: &[(&str, &str)]) -> Reply {
        let path = match params.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", form(params)),
        };
        self.send("GET", &path, &[], b"")
    }

    /// `POST` of a form.
    pub(crate) fn post(&mut self, path: &str, params: &[(&str, &str)]) -> Reply {
        let kind = ("Content-Type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[kind], form(params).as_bytes())
    }

    /// Remote write, as senders do it.
    pub(crate) fn write(&mut self, request: &WriteRequest) -> Reply {
        self.write_bytes(&compressed(&request.encode_to_vec()))
    }

    pub(crate) fn write_bytes(&mut self, body: &[u8]) -> Reply {
        let headers = [
            ("Content-Encoding", "snappy"),
            ("Content-Type", "application/x-protobuf"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"),
        ];
        self.send("POST", "/api/v1/write", &headers, body)
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let stream = self.stream.get_mut();
        // A server that refuses a long body may not wait for its end.
        let _ = stream.write_all(&[head.as_bytes(), body].concat());
        self.read(method != "HEAD")
    }

    fn read(&mut self, has_body: bool) -> Reply {
        let mut head: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_lowercase()),
            }
        }
        let status = head[0].split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply {
            status,
            head,
            body: String::new(),
        };
        let body = match (has_body, reply.header("transfer-encoding")) {
            (false, _) => Vec::new(),
            (true, Some("chunked")) => self.chunks(),
            (true, _) => {
                let length = reply.header("content-length").unwrap_or("0");
                self.exactly(length.parse().unwrap())
            }
        };
        reply.body = String::from_utf8(body).unwrap();
        reply
    }

    fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        let mut body = vec![0; bytes];
        self.stream.read_exact(&mut body).unwrap();
        body
    }

    /// Pieces, each after a line with its length, up to one of no length.
    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
            body.extend(self.exactly(length));
            assert_eq!(self.exactly(2), b"\r\n");
            if length == 0 {
                return body;
            }
        }
    }
}

/// A snappy block.
pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

fn form(params: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(params);
    form.finish()
}

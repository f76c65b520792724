//! Prometheus 2.42, with a world in it.
//!
//! Input: a program, a world; queries. Output: answers. Questions go over connections that stay
//! open, one for each thread.

use std::path::Path;

use treering_benches::Result;
use treering_benches::rival::answer::{self, Answer};
use treering_benches::rival::asked::Asked;
use treering_benches::rival::http::Client;
use treering_benches::rival::server::{Dialect, Server};

use crate::world::World;

/// A server that holds a world.
#[derive(Debug)]
pub(crate) struct Rival {
    server: Server,
    // Dropped after the server that writes into it.
    _folder: tempfile::TempDir,
}

impl Rival {
    pub(crate) fn start(program: &Path, world: &World) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The window of a selector takes both its ends in 2.x: one millisecond less is the same as
        // leaving out the first.
        let lookback: &[&str] = match world.on_grid {
            true => &["--query.lookback-delta=299s999ms"],
            false => &[],
        };
        let mut server = Server::start(Dialect::Prometheus, program, folder.path(), lookback)?;
        for body in world.requests()? {
            server.write(&body)?;
        }
        Ok(Self {
            server,
            _folder: folder,
        })
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection {
            client: self.server.connect(),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
}

impl Connection {
    /// The answer to a text in the words of 2.42.
    pub(crate) fn ask(&mut self, text: &str, asked: Asked) -> Result<Answer> {
        let text = text.replace("double_exponential_smoothing", "holt_winters");
        let reply = asked.of_server(&mut self.client, &text, "")?;
        answer::theirs(&reply.body).map_err(|error| {
            let reply = String::from_utf8_lossy(&reply.body);
            format!("{error} in the reply {reply}").into()
        })
    }
}

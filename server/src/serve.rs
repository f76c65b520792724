//! `treering serve`: a database over HTTP.
//!
//! Input: a directory, an address. Output: the address as the first line, then answers until
//! SIGTERM or SIGINT. Invariant: when it ends, the database is closed.

use std::io::{self, Write};

use treering::{Db, Options};
use treering_server::features;
use treering_server::http::{Server, signals};

use crate::cli::Serve;
use crate::outcome::{End, Ended, say, sentence};

pub(crate) fn run(args: &Serve) -> Ended {
    let features = features::parse(&args.features.join(","))?;
    // Before anything is open: a signal ends it in order from here on.
    let stop = signals()?;
    let db = Db::open(&args.db, Options::default()).map_err(|error| sentence(&error))?;
    let server = Server::bind(db, args.listen.as_str(), features)
        .map_err(|error| format!("cannot listen at {}: {error}", args.listen))?;
    let address = server.address();
    say(format_args!("listening on {address}"))?;
    if !address.ip().is_loopback() {
        // When nobody reads it there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "treering: WARNING: there is no authentication and no encryption: whoever reaches \
             {address} can read and write this database"
        );
    }
    server.run(&stop)?;
    Ok(End::Clean)
}

//! Metadata of metrics: what is known stays known, wherever it is kept at the moment.

use treering::vfs::Vfs;
use treering::{Db, Error, Metadata, MetricKind, NamespaceOptions, limits};

use crate::support::{append, cpu, manual, memory, open};

fn counter(help: &str) -> Metadata {
    Metadata::new(MetricKind::Counter).unit("bytes").help(help)
}

#[test]
fn metadata_survives_reopening_from_wal_and_manifest() {
    let vfs = memory();
    let db = open(&vfs);
    db.set_metadata("sent", &counter("first")).unwrap();
    db.set_metadata("sent", &counter("second")).unwrap();
    db.set_metadata("up", &Metadata::new(MetricKind::Gauge))
        .unwrap();
    db.set_metadata("gone", &counter("")).unwrap();
    db.remove_metadata("gone").unwrap();
    let expected = vec![
        ("sent".to_owned(), counter("second")),
        ("up".to_owned(), Metadata::new(MetricKind::Gauge)),
    ];
    assert_eq!(db.all_metadata(), expected);
    drop(db);
    let db = open(&vfs);
    assert_eq!(db.all_metadata(), expected);
    assert_eq!(db.recovery().frames, 6);
    // Without a sample there is still something to flush; after it nothing is left to replay.
    db.flush().unwrap();
    drop(db);
    let db = open(&vfs);
    assert_eq!(db.recovery().frames, 0);
    assert_eq!(db.all_metadata(), expected);
    // A removal goes the same way.
    db.remove_metadata("up").unwrap();
    append(&db, &cpu("a"), 1, 1.0);
    db.flush().unwrap();
    db.compact().unwrap();
    drop(db);
    let db = open(&vfs);
    assert_eq!(db.all_metadata(), expected[..1]);
    assert_eq!(db.metadata("sent"), Some(counter("second")));
    assert_eq!(db.metadata("up"), None);
}

/// A snapshot knows what the database knew, of all namespaces, and nothing that came later.
#[test]
fn a_snapshot_has_the_metadata() {
    let vfs = memory();
    let db = open(&vfs);
    let own = db.create_namespace("own", NamespaceOptions::default());
    let own = own.unwrap();
    db.set_metadata("sent", &counter("flushed")).unwrap();
    db.flush().unwrap();
    own.set_metadata("up", &counter("in the WAL")).unwrap();
    db.snapshot("/copy").unwrap();
    db.set_metadata("sent", &counter("later")).unwrap();
    let copy = Db::open("/copy", manual(&vfs)).unwrap();
    assert_eq!(copy.metadata("sent"), Some(counter("flushed")));
    let own = copy.namespace("own").unwrap();
    assert_eq!(own.metadata("up"), Some(counter("in the WAL")));
    let reader = Db::open_read_only("/db", manual(&vfs)).unwrap();
    assert_eq!(reader.all_metadata(), db.all_metadata());
    assert!(matches!(
        reader.remove_metadata("sent"),
        Err(Error::ReadOnly)
    ));
}

/// What is known already takes no frame: a scrape may say it again every time.
#[test]
fn saying_it_again_costs_nothing() {
    let db = Db::in_memory().unwrap();
    db.set_metadata("sent", &counter("same")).unwrap();
    let before = db.stats().last_sequence;
    db.set_metadata("sent", &counter("same")).unwrap();
    db.remove_metadata("never").unwrap();
    assert_eq!(db.stats().last_sequence, before);
    db.set_metadata("sent", &counter("other")).unwrap();
    assert_eq!(db.stats().last_sequence, before + 1);
}

#[test]
fn namespaces_have_metadata_of_their_own() {
    let vfs = memory();
    let db = open(&vfs);
    let own = db.create_namespace("own", NamespaceOptions::default());
    let own = own.unwrap();
    db.set_metadata("sent", &counter("here")).unwrap();
    own.set_metadata("sent", &counter("there")).unwrap();
    db.flush().unwrap();
    own.set_metadata("late", &counter("")).unwrap();
    drop((db, own));
    let db = open(&vfs);
    let own = db.namespace("own").unwrap();
    assert_eq!(db.metadata("sent"), Some(counter("here")));
    assert_eq!(own.metadata("sent"), Some(counter("there")));
    assert_eq!((db.metadata("late"), own.all_metadata().len()), (None, 2));
    db.drop_namespace("own").unwrap();
    let refused = own.set_metadata("sent", &counter("late"));
    assert!(matches!(refused, Err(Error::NoNamespace { .. })));
    drop((db, own));
    let db = open(&vfs);
    // A new one of the name knows nothing.
    let own = db.create_namespace("own", NamespaceOptions::default());
    assert_eq!(own.unwrap().all_metadata(), []);
    assert_eq!(db.all_metadata().len(), 1);
}

#[test]
fn what_is_too_long_is_refused_by_name() {
    let db = Db::in_memory().unwrap();
    let refused = |metric: &str, metadata: &Metadata| {
        let error = db.set_metadata(metric, metadata).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        error.to_string()
    };
    let long = |bytes: usize| "x".repeat(bytes);
    let help = counter(&long(limits::MAX_HELP_BYTES + 1));
    assert!(refused("sent", &help).contains("help"));
    let unit = Metadata::default().unit(long(limits::MAX_UNIT_BYTES + 1));
    assert!(refused("sent", &unit).contains("unit"));
    let name = long(limits::MAX_METRIC_NAME_BYTES + 1);
    assert!(refused(&name, &counter("")).contains("metric"));
    assert!(refused("", &counter("")).contains("empty"));
    assert_eq!(db.all_metadata(), []);
    db.set_metadata(&name[1..], &counter(&help.help[1..]))
        .unwrap();
    assert_eq!(db.all_metadata().len(), 1);
}

/// All metadata of a database together has a limit, over all namespaces; what goes makes room.
#[test]
fn metadata_of_all_namespaces_shares_a_limit() {
    let vfs = memory();
    let db = Db::open("/db", manual(&vfs)).unwrap();
    let own = db.create_namespace("own", NamespaceOptions::default());
    let own = own.unwrap();
    let large = counter(&"x".repeat(limits::MAX_HELP_BYTES));
    let mut kept = 0;
    let refused = loop {
        let db = if kept % 2 == 0 { &db } else { &own };
        match db.set_metadata(&format!("metric{kept}"), &large) {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(refused.is_limit(), "{refused}");
    assert!(refused.to_string().contains("metadata"), "{refused}");
    let each = limits::MAX_HELP_BYTES + 64;
    assert!(kept >= limits::MAX_METADATA_BYTES / each, "{kept}");
    db.remove_metadata("metric0").unwrap();
    own.set_metadata("another", &large).unwrap();
    // It fits the manifest, and comes back from there.
    db.flush().unwrap();
    drop((db, own));
    let vfs: std::sync::Arc<dyn Vfs> = vfs;
    let db = open(&vfs);
    let own = db.namespace("own").unwrap();
    assert_eq!(db.all_metadata().len() + own.all_metadata().len(), kept);
    assert_eq!(own.metadata("another"), Some(large));
}

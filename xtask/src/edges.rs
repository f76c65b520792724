//! Which of our crates may use which: the table of rooms in ARCHITECTURE.md, checked against
//! what cargo says.
//!
//! Input: `cargo metadata`. Output: one line per edge that the table does not hold, and the
//! counts of outside crates that the embedded engine brings along.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::cargo_platform::Platform;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

use crate::Outcome;
use crate::shell::root;

/// Package and what of ours it may use. A package that is not here is refused until it is.
const ROOMS: &[(&str, &[&str])] = &[
    ("treering-codec", &[]),
    ("treering-index", &["treering-codec"]),
    ("treering", &["treering-codec", "treering-index"]),
    ("treering-promql", &["treering"]),
    ("treering-formats", &["treering"]),
    (
        "treering-server",
        &["treering", "treering-promql", "treering-formats"],
    ),
    ("treering-ffi", &["treering", "treering-promql"]),
    ("treering-python", &["treering", "treering-promql"]),
    (
        "treering-benches",
        &[
            "treering-codec",
            "treering-index",
            "treering",
            "treering-promql",
            "treering-fuzz",
        ],
    ),
    (
        "treering-fuzz",
        &[
            "treering-codec",
            "treering-index",
            "treering",
            "treering-promql",
            "treering-formats",
        ],
    ),
    ("xtask", &[]),
];

/// Packages that a program gets by embedding the engine.
const EMBEDDED: &[&str] = &["treering-codec", "treering-index", "treering"];

/// Outside crates that would bring a runtime, a network or a columnar library into the engine.
const NOT_EMBEDDED: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "futures",
    "hyper",
    "axum",
    "arrow",
    "kube",
    "reqwest",
];

/// Most outside crates that the engine may name, and bring along in all.
const DIRECT_MAX: usize = 16;
const TRANSITIVE_MAX: usize = 70;

/// Problems, and the sentence with the counts.
pub(crate) fn check() -> Outcome<(Vec<String>, String)> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let mut problems = Vec::new();
    for package in metadata.workspace_packages() {
        problems.extend(edges_of(package));
        problems.extend(roots_of(package));
    }
    let direct = direct_outside(&metadata);
    let transitive = transitive_outside(&metadata);
    for (what, count, max) in [
        ("direct", direct.len(), DIRECT_MAX),
        ("transitive", transitive.len(), TRANSITIVE_MAX),
    ] {
        if count > max {
            problems.push(format!(
                "{count} {what} outside crates in the engine, over {max}"
            ));
        }
    }
    problems.extend(
        NOT_EMBEDDED
            .iter()
            .filter(|name| transitive.contains(**name))
            .map(|name| format!("the engine brings along {name}, which it must not know")),
    );
    let counts = format!(
        "codec + index + engine use {} outside crates directly, {} in all",
        direct.len(),
        transitive.len()
    );
    Ok((problems, counts))
}

/// Edges of one package that the table does not hold.
fn edges_of(package: &Package) -> Vec<String> {
    let ours = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some());
    ours.filter_map(|dependency| {
        let is_test = dependency.kind == DependencyKind::Development;
        refuse_edge(package.name.as_str(), &dependency.name, is_test)
    })
    .collect()
}

/// Why `name` may not use `used`; tests may name their own package.
fn refuse_edge(name: &str, used: &str, is_test: bool) -> Option<String> {
    let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == name) else {
        return Some(format!(
            "{name} is not in the table of rooms (xtask/src/edges.rs)"
        ));
    };
    let is_held = allowed.contains(&used) || (is_test && used == name);
    (!is_held).then(|| format!("{name} must not use {used}"))
}

/// Every library and binary states at its root that it has no `unsafe`, or denies it.
fn roots_of(package: &Package) -> Vec<String> {
    let mut problems = Vec::new();
    for target in package
        .targets
        .iter()
        .filter(|target| target.is_lib() || target.is_bin())
    {
        let text = std::fs::read_to_string(&target.src_path).unwrap_or_default();
        if !text.contains("#![forbid(unsafe_code)]") && !text.contains("#![deny(unsafe_code)]") {
            problems.push(format!(
                "{} neither forbids nor denies unsafe_code",
                target.src_path
            ));
        }
    }
    problems
}

/// Whether a dependency is one in use: not of tests, and not the model checker that takes the place
/// of locks in a build of its own.
pub(crate) fn is_in_use(kind: DependencyKind, target: Option<&Platform>) -> bool {
    let is_model = target.is_some_and(|target| target.to_string() == "cfg(shuttle)");
    kind != DependencyKind::Development && !is_model
}

fn direct_outside(metadata: &Metadata) -> BTreeSet<String> {
    embedded(metadata)
        .flat_map(|package| &package.dependencies)
        .filter(|dependency| is_in_use(dependency.kind, dependency.target.as_ref()))
        .filter(|dependency| dependency.path.is_none())
        .map(|dependency| dependency.name.clone())
        .collect()
}

fn transitive_outside(metadata: &Metadata) -> BTreeSet<String> {
    let Some(resolve) = &metadata.resolve else {
        return BTreeSet::new();
    };
    let nodes: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<&PackageId, &str> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.as_str()))
        .collect();
    let mut open: Vec<&PackageId> = embedded(metadata).map(|package| &package.id).collect();
    let mut seen: BTreeSet<&PackageId> = open.iter().copied().collect();
    while let Some(node) = open.pop().and_then(|id| nodes.get(id)) {
        for dependency in &node.deps {
            let needed = dependency
                .dep_kinds
                .iter()
                .any(|info| is_in_use(info.kind, info.target.as_ref()));
            if needed && seen.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    seen.iter()
        .filter_map(|id| names.get(*id))
        .filter(|name| !EMBEDDED.contains(*name))
        .map(|name| (*name).to_owned())
        .collect()
}

fn embedded(metadata: &Metadata) -> impl Iterator<Item = &Package> {
    metadata
        .packages
        .iter()
        .filter(|package| EMBEDDED.contains(&package.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_edges_of_the_table_exist() {
        assert_eq!(refuse_edge("treering", "treering-index", false), None);
        assert_eq!(refuse_edge("treering", "treering", true), None);
        assert!(refuse_edge("treering-codec", "treering", false).is_some());
        assert!(refuse_edge("treering-index", "treering", true).is_some());
        assert!(refuse_edge("a-new-room", "treering", false).is_some());
    }
}

//! The workspace as cargo sees it: its folders, packages, features and targets.

use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;

use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::invocation::Invocation;

/// The workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo builds, absolute.
    pub(crate) target: PathBuf,
    /// The lowest version of Rust that the workspace promises to build with.
    pub(crate) rust_version: String,
    packages: Vec<Package>,
}

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The names of its features.
    pub(crate) features: BTreeSet<String>,
    targets: Vec<(String, String)>,
}

impl Package {
    /// Whether it has a target called `name` of `kind`, as cargo names kinds: `test`, `example`.
    pub(crate) fn has_target(&self, kind: &str, name: &str) -> bool {
        self.targets.iter().any(|(k, n)| k == kind && n == name)
    }
}

impl Workspace {
    /// Asks cargo about the workspace that this program was started in.
    pub(crate) fn load() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let text = cargo()
            .directory(&manifest)
            .args(["metadata", "--no-deps", "--format-version=1"])
            .capture()?;
        parse(&text).ok_or_else(|| Failure::new("cargo metadata printed something unexpected"))
    }

    /// The package called `name`, if there is one.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The toolchain's cargo, at the root of the workspace.
    pub(crate) fn cargo(&self) -> Invocation {
        cargo().directory(&self.root)
    }
}

/// The folder for tools that are built or downloaded once: `GRID_CACHE_DIR`, or `hybrid-grid` in
/// the user's cache directory.
pub(crate) fn cache_dir() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let directory = set("GRID_CACHE_DIR")
        .map(PathBuf::from)
        .or_else(|| set("XDG_CACHE_HOME").map(|base| PathBuf::from(base).join("hybrid-grid")))
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache/hybrid-grid")))
        .ok_or_else(|| Failure::new("no place for tools: set GRID_CACHE_DIR to a folder"))?;
    std::path::absolute(&directory)
        .map_err(|error| Failure::new(format!("{}: {error}", directory.display())))
}

/// The toolchain's cargo, in the folder that the person is in.
pub(crate) fn cargo() -> Invocation {
    Invocation::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn parse(metadata: &str) -> Option<Workspace> {
    let metadata: Value = serde_json::from_str(metadata).ok()?;
    let folder = |name: &str| Some(PathBuf::from(metadata.get(name)?.as_str()?));
    let packages = metadata.get("packages")?.as_array()?;
    let rust_version = packages
        .iter()
        .find_map(|package| package.get("rust_version")?.as_str())?;
    Some(Workspace {
        root: folder("workspace_root")?,
        target: folder("target_directory")?,
        rust_version: rust_version.to_owned(),
        packages: packages
            .iter()
            .map(parse_package)
            .collect::<Option<Vec<_>>>()?,
    })
}

fn parse_package(package: &Value) -> Option<Package> {
    let mut targets = Vec::new();
    for target in package.get("targets")?.as_array()? {
        let name = target.get("name")?.as_str()?;
        for kind in target.get("kind")?.as_array()? {
            targets.push((kind.as_str()?.to_owned(), name.to_owned()));
        }
    }
    Some(Package {
        name: package.get("name")?.as_str()?.to_owned(),
        features: package
            .get("features")?
            .as_object()?
            .keys()
            .cloned()
            .collect(),
        targets,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn reads_what_cargo_says_of_the_workspace() {
        let text = r#"{
            "packages": [{
                "name": "a", "rust_version": "1.94",
                "features": {"default": ["x"], "x": []},
                "targets": [{"name": "a", "kind": ["lib"]}, {"name": "drivers", "kind": ["test"]}]
            }],
            "workspace_root": "/w", "target_directory": "/t"
        }"#;
        let workspace = parse(text).expect("parses");
        assert_eq!(workspace.root, Path::new("/w"));
        assert_eq!(workspace.target, Path::new("/t"));
        assert_eq!(workspace.rust_version, "1.94");
        let package = workspace.package("a").expect("is there");
        assert_eq!(package.features, ["default", "x"].map(str::to_owned).into());
        assert!(package.has_target("test", "drivers"));
        assert!(!package.has_target("test", "a"));
        assert!(workspace.package("b").is_none());
    }

    #[test]
    fn refuses_what_is_no_metadata() {
        assert!(parse("").is_none());
        assert!(parse(r#"{"packages": []}"#).is_none());
    }
}

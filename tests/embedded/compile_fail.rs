//! Wrong edges do not compile: each file of `tests/compile_fail` is given to rustc, which must
//! refuse it with the error named in its first line.
//!
//! The files are compiled against the library that this test itself is linked with, by rustc alone:
//! no second build of the workspace, no network.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use kstreams::state::testing::TempDir;

/// The folder in which cargo put this test and the libraries it is linked with.
fn deps() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    own.parent().expect("in a folder").to_owned()
}

/// The builds of the library that lie there, newest first: cargo keeps one for each set of features.
fn libraries() -> Vec<PathBuf> {
    let files = std::fs::read_dir(deps()).expect("readable").flatten().map(|entry| entry.path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libkstreams-") && name.ends_with(".rlib")
    };
    let age = |path: &PathBuf| {
        path.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let mut libraries: Vec<PathBuf> = files.filter(is_library).collect();
    libraries.sort_by_key(|path| std::cmp::Reverse(age(path)));
    libraries
}

/// What rustc says about a file; nothing if it compiles.
fn compile(file: &Path, library: &Path, out: &Path) -> String {
    let mut library_option = std::ffi::OsString::from("kstreams=");
    library_option.push(library);
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "--cap-lints=allow", "-L"])
        .arg(deps())
        .arg("--extern")
        .arg(library_option)
        .arg("--out-dir")
        .arg(out)
        .arg(file)
        .output()
        .expect("rustc runs");
    if output.status.success() {
        return String::new();
    }
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_edges_do_not_compile() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let out = TempDir::new();
    let right = folder.join("right.rs");
    let library = libraries().into_iter().find(|one| compile(&right, one, out.path()).is_empty());
    let library = library.expect("what is right compiles with the library");

    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let wrong: Vec<PathBuf> = files.filter(|file| *file != right).collect();
    assert!(wrong.len() >= 7, "{wrong:?}");
    for file in wrong {
        let text = std::fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let code = first.strip_prefix("//! E").map(|rest| format!("error[E{}]", &rest[..4]));
        let code = code.unwrap_or_else(|| panic!("{}: no error code", file.display()));
        let said = compile(&file, &library, out.path());
        assert!(said.contains(&code), "{}: not {code} but `{said}`", file.display());
        assert_eq!(said.matches("error[E").count(), 1, "{}: {said}", file.display());
    }
}

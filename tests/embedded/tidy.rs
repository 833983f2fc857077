//! Rules for all source files that no lint checks.

use std::path::{Path, PathBuf};

const MAX_LINES: usize = 600;

/// A file, its path below the root, its text.
struct File {
    path: String,
    text: String,
}

impl File {
    /// True for tests, benches and examples: files of their own, by name or by place.
    fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        let places = ["tests", "benches", "examples"];
        parts.iter().any(|part| places.contains(part))
            || ["tests.rs", "contract.rs"].iter().any(|name| self.path.ends_with(name))
    }

    /// Its numbered lines without those that are comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = (1..).zip(self.text.lines());
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The same up to its unit tests; none of a file of tests.
    fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.code().filter(|_| !self.is_test());
        code.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                find(&path, found);
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn files() -> Vec<File> {
    let mut found = Vec::new();
    for folder in ["crates", "tests", "examples", "benches"] {
        find(&root().join(folder), &mut found);
    }
    assert!(found.len() > 100, "the walk finds the sources");
    found.sort();
    let read = |path: PathBuf| File {
        text: std::fs::read_to_string(&path).expect("readable"),
        path: path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned(),
    };
    found.into_iter().map(read).collect()
}

/// Fails with all complaints at once.
fn check(complain: impl Fn(&File) -> Vec<String>) {
    let complaints: Vec<String> = files()
        .iter()
        .flat_map(|file| complain(file).into_iter().map(|text| format!("{}: {text}", file.path)))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    check(|file| {
        // What is included into a documentation test cannot have an inner comment.
        let is_included = file.is_test() && file.text.starts_with("// ");
        match file.text.starts_with("//!") || is_included {
            true => Vec::new(),
            false => vec!["no `//!` in the first line".to_owned()],
        }
    });
}

#[test]
fn no_file_is_longer_than_six_hundred_lines() {
    check(|file| match file.text.lines().count() {
        n if n > MAX_LINES => vec![format!("{n} lines")],
        _ => Vec::new(),
    });
}

#[test]
fn sources_are_ascii() {
    check(|file| {
        let lines = file.product_code().filter(|(_, line)| !line.is_ascii());
        lines.map(|(number, line)| format!("line {number}: {line}")).collect()
    });
}

#[test]
fn no_unwrap_outside_of_tests() {
    check(|file| {
        let lines = file.product_code().filter(|(_, line)| line.contains(".unwrap()"));
        lines.map(|(number, line)| format!("line {number}: {}", line.trim())).collect()
    });
}

#[test]
fn nothing_is_left_to_be_done_and_nothing_is_ignored() {
    let banned = ["todo!", "unimplemented!", "dbg!", "#[ignore", "#[should_panic", "thread::sleep"];
    check(|file| {
        if file.path.ends_with("embedded/tidy.rs") {
            return Vec::new();
        }
        let uses = |line: &str| banned.into_iter().find(|word| line.contains(word));
        let lines = file.code().filter_map(|(number, line)| Some((number, uses(line)?)));
        lines.map(|(number, word)| format!("line {number}: {word}")).collect()
    });
}

#[test]
fn every_source_file_is_part_of_its_crate() {
    let files = files();
    let is_root = |file: &File| {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        ["lib.rs", "main.rs"].contains(&name) || file.path.contains("/bin/")
    };
    let complaints: Vec<&str> = files
        .iter()
        .filter(|file| file.path.starts_with("crates/") && file.path.contains("/src/"))
        .filter(|file| !is_root(file))
        .filter(|file| {
            let path = Path::new(&file.path);
            let stem = |path: &Path| path.file_stem().map(|s| s.to_string_lossy().into_owned());
            let folder = path.parent().unwrap_or(path);
            // `a/mod.rs` is declared beside `a`, `a/b.rs` in `a/mod.rs` or `a.rs`.
            let (name, folder) = match stem(path).as_deref() {
                Some("mod") => (stem(folder), folder.parent().unwrap_or(folder)),
                _ => (stem(path), folder),
            };
            let declared = format!("mod {};", name.unwrap_or_default());
            let in_folder = folder.to_string_lossy().into_owned();
            let parents = ["mod.rs", "lib.rs", "main.rs"].map(|f| format!("{in_folder}/{f}"));
            let beside = format!("{in_folder}.rs");
            !files.iter().any(|other| {
                (parents.contains(&other.path) || other.path == beside)
                    && other.text.contains(&declared)
            })
        })
        .map(|file| file.path.as_str())
        .collect();
    assert!(complaints.is_empty(), "not declared by any module: {complaints:?}");
}

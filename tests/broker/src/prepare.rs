//! Fetches jars, compiles our classes, writes the class archive: each once, under one file lock.
//! Called by `Java::prepare`.
//!
//! ```text
//! <dir>/lock              held while preparing
//! <dir>/jars/             every jar, and `stamp` = hash of the pom they came from
//! <dir>/classes/<hash>/   our classes; several clones with different sources can share the folder
//! <dir>/archive/<hash>.jsa  class data of the jars, so that a JVM need not parse them again
//! <dir>/ports/            one lock file per pair of ports, see `ports`
//! ```

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use crate::{
    Error, ErrorKind, Result,
    hash::Fnv,
    java::{program, tail},
    node, properties,
};

/// What every JVM of ours gets: little compiling, no second collector thread, JVM warnings on stderr (they
/// go to stdout otherwise and would mix with golden lines), our output in UTF-8 whatever the locale.
pub(crate) const JVM_OPTIONS: [&str; 7] = [
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Xlog:disable",
    "-Xlog:all=warning:stderr",
    "-Dfile.encoding=UTF-8",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// What a prepared folder offers.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) classpath: OsString,
    pub(crate) archive: Option<PathBuf>,
}

/// Brings `dir` up to date with the pom and the Java sources of this crate.
pub(crate) fn prepare(dir: &Path, java: &Path) -> Result<Ready> {
    fs::create_dir_all(dir).map_err(Error::io(format!("create {}", dir.display())))?;
    let lock = dir.join("lock");
    let lock = File::create(&lock).map_err(Error::io(format!("create {}", lock.display())))?;
    lock.lock().map_err(Error::io("lock the folder of jars"))?;

    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("java");
    let pom = read(&project.join("pom.xml"))?;
    let jars = jars(dir, &project, &Fnv::new().part(&pom).name())?;
    let mut classpath = join(&jars);
    let release = release_of(java);
    let archive = archive(dir, java, &classpath, &Fnv::new().part(&pom).part(&release).name());
    let classes = classes(dir, &project, &pom, &classpath)?;
    // Ours come last: the archive fits every class path that begins with the jars it was written from.
    classpath.push(":");
    classpath.push(&classes);
    Ok(Ready { classpath, archive })
}

/// Copies the jars the pom names, unless those of this very pom are there. Gives them in a fixed order.
fn jars(dir: &Path, project: &Path, stamp: &str) -> Result<Vec<PathBuf>> {
    let jars = dir.join("jars");
    if fs::read_to_string(jars.join("stamp")).is_ok_and(|found| found == stamp) {
        return files(&jars, "jar");
    }
    let fresh = dir.join("jars.new");
    remove(&fresh)?;
    let mut maven = Command::new(program("mvn")?);
    maven.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"]);
    maven.arg(project.join("pom.xml"));
    maven.arg(format!("-DoutputDirectory={}", fresh.display()));
    run("mvn", &mut maven)?;
    write(&fresh.join("stamp"), stamp)?;
    remove(&jars)?;
    fs::rename(&fresh, &jars).map_err(Error::io("put the jars in place"))?;
    files(&jars, "jar")
}

/// Compiles our sources with plain javac, unless classes of these very sources are there.
fn classes(dir: &Path, project: &Path, pom: &[u8], classpath: &OsStr) -> Result<PathBuf> {
    let sources = files(&project.join("src/main/java/kstreams"), "java")?;
    let resources = files(&project.join("src/main/resources/kstreams"), "txt")?;
    let mut hash = Fnv::new().part(pom);
    for file in sources.iter().chain(&resources) {
        let name = file.file_name().unwrap_or_default();
        hash = hash.part(name.as_encoded_bytes()).part(&read(file)?);
    }
    let classes = dir.join("classes").join(hash.name());
    if classes.is_dir() {
        return Ok(classes);
    }
    let fresh = dir.join("classes").join(format!("{}.new", hash.name()));
    remove(&fresh)?;
    let inside = fresh.join("kstreams");
    fs::create_dir_all(&inside).map_err(Error::io(format!("create {}", inside.display())))?;
    for file in &resources {
        let to = inside.join(file.file_name().unwrap_or_default());
        fs::copy(file, &to).map_err(Error::io(format!("copy to {}", to.display())))?;
    }
    let mut javac = Command::new(program("javac")?);
    javac.args(["-J-XX:TieredStopAtLevel=1", "--release", "17", "-proc:none", "-nowarn"]);
    javac.args(["-encoding", "UTF-8", "-Xlint:-options", "-d"]).arg(&fresh);
    javac.arg("-cp").arg(classpath).args(&sources);
    run("javac", &mut javac)?;
    fs::rename(&fresh, &classes).map_err(Error::io("put the classes in place"))?;
    Ok(classes)
}

/// Writes the class archive of the jars by starting a plain broker once (about ten seconds, once).
/// Without it everything still runs, only slower, so a failure is not an error.
fn archive(dir: &Path, java: &Path, classpath: &OsStr, stamp: &str) -> Option<PathBuf> {
    let folder = dir.join("archive");
    let archive = folder.join(format!("{stamp}.jsa"));
    let failed = folder.join(format!("{stamp}.failed"));
    if archive.is_file() || failed.is_file() {
        return archive.is_file().then_some(archive);
    }
    fs::create_dir_all(&folder).ok()?;
    let scratch = folder.join(format!("scratch-{}", process::id()));
    let fresh = folder.join(format!("{stamp}.new"));
    let written = properties::write_plain(dir, &scratch).and_then(|(config, ports)| {
        let config = config.as_os_str();
        let mut format = jvm(java, classpath, &[]);
        format.args(["kafka.tools.StorageTool", "format", "--cluster-id"]);
        run("java", format.arg(properties::CLUSTER_ID).arg("--config").arg(config))?;
        let mut at_exit = OsString::from("-XX:ArchiveClassesAtExit=");
        at_exit.push(&fresh);
        let mut broker = jvm(java, classpath, &[&at_exit]);
        node::run_until_listening(broker.arg("kafka.Kafka").arg(config), ports.broker)?;
        fs::rename(&fresh, &archive).map_err(Error::io("put the class archive in place"))
    });
    let _ = remove(&scratch);
    if written.is_err() {
        // Remembered, so that not every run spends a minute to fail again.
        let _ = write(&failed, "");
    }
    archive.is_file().then_some(archive)
}

fn jvm(java: &Path, classpath: &OsStr, options: &[&OsStr]) -> Command {
    let mut command = Command::new(java);
    command.args(JVM_OPTIONS).arg("-Xmx768m").args(options).arg("-cp").arg(classpath);
    command
}

/// The `release` file of the Java installation: an archive fits only the JVM that wrote it.
fn release_of(java: &Path) -> Vec<u8> {
    let home = fs::canonicalize(java).ok();
    let home = home.as_deref().and_then(Path::parent).and_then(Path::parent);
    home.and_then(|home| fs::read(home.join("release")).ok()).unwrap_or_default()
}

/// Runs a program to its end; its output is the message when it fails.
fn run(name: &str, command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(Error::io(format!("run {name}")))?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let message = format!("{name} failed, {}: {}", output.status, tail(&text, 30));
    Err(Error::new(ErrorKind::Prepare, message))
}

/// The files of a folder with an extension, sorted by name.
fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let doing = || format!("list {}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io(doing()))? {
        let path = entry.map_err(Error::io(doing()))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn join(jars: &[PathBuf]) -> OsString {
    let mut classpath = OsString::new();
    for jar in jars {
        if !classpath.is_empty() {
            classpath.push(":");
        }
        classpath.push(jar);
    }
    classpath
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io(format!("read {}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}

fn remove(dir: &Path) -> Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    fs::remove_dir_all(dir).map_err(Error::io(format!("remove {}", dir.display())))
}

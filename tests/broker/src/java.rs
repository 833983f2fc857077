//! The Java side, ready to run: finds the programs, has jars and classes prepared, makes commands.
//! Called by `Broker` and by tests that compare with Java.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use crate::{Error, ErrorKind, Result, prepare};

/// A Java runtime with Kafka's jars and our compiled classes.
///
/// ```no_run
/// # fn main() -> Result<(), kstreams_broker::Error> {
/// use kstreams_broker::{Java, golden};
///
/// let java = Java::prepare()?;
/// for line in java.run(golden::PARTITIONS, ["42", "100"])?.lines() {
///     println!("{line}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Java {
    java: PathBuf,
    folder: PathBuf,
    classpath: OsString,
    archive: Option<PathBuf>,
}

impl Java {
    /// Makes sure that java, Kafka's jars and our compiled classes are there.
    ///
    /// The first call on a machine fetches the jars with Maven, compiles, and writes a class archive that
    /// halves every later start; after that it only compares hashes. Safe to call from many test
    /// processes at once: a file lock lets one prepare and the others wait for it.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] without java, javac or mvn, [`ErrorKind::Prepare`] when fetching or
    /// compiling fails.
    pub fn prepare() -> Result<Self> {
        let folder = folder()?;
        let java = program("java")?;
        let ready = prepare::prepare(&folder, &java)?;
        Ok(Self { java, folder, classpath: ready.classpath, archive: ready.archive })
    }

    /// A command that runs `main_class` as a short-lived tool: small heap, fast start, warnings to stderr.
    pub fn command(&self, main_class: &str) -> Command {
        self.launch(&["-Xmx512m"], main_class)
    }

    /// A command that runs `main_class` as the JVM would by itself: all of its compilers and its own
    /// choice of collector and heap. For programs whose speed is measured.
    pub fn at_full_speed(&self, main_class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error");
        command.arg("-cp").arg(&self.classpath).arg(main_class);
        command
    }

    /// Runs a main class to its end and gives what it printed.
    ///
    /// # Errors
    /// [`ErrorKind::Program`] with the tail of stderr when it fails.
    pub fn run<I, S>(&self, main_class: &str, args: I) -> Result<String>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.run_with_input(main_class, args, "")
    }

    /// Like [`run`](Self::run), with `input` on stdin.
    ///
    /// # Errors
    /// [`ErrorKind::Program`] with the tail of stderr when it fails.
    pub fn run_with_input<I, S>(&self, main_class: &str, args: I, input: &str) -> Result<String>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.command(main_class);
        command.args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io(format!("start {main_class}")))?;
        let stdin = child.stdin.take();
        let output = thread::scope(|scope| {
            // Written beside the reading, or both sides could wait on full pipes. A program that ends
            // without reading its input breaks the pipe; its exit code tells the story then.
            scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
            child.wait_with_output()
        });
        let output = output.map_err(Error::io(format!("run {main_class}")))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let message = format!("{main_class} failed, {}: {}", output.status, tail(&stderr, 20));
            return Err(Error::new(ErrorKind::Program, message));
        }
        let doing = format!("read the output of {main_class}");
        String::from_utf8(output.stdout).map_err(|_| Error::new(ErrorKind::Program, doing))
    }

    /// Where jars, classes and locks live.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command with the class path and what every JVM of ours gets; `options` may override it.
    pub(crate) fn launch<S: AsRef<OsStr>>(&self, options: &[S], main_class: &str) -> Command {
        let mut command = Command::new(&self.java);
        command.args(prepare::JVM_OPTIONS);
        if let Some(archive) = &self.archive {
            let mut option = OsString::from("-XX:SharedArchiveFile=");
            option.push(archive);
            command.arg(option);
        }
        command.args(options).arg("-cp").arg(&self.classpath).arg(main_class);
        command
    }
}

/// The folder for jars and classes, outside the clone so that clones share it.
fn folder() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("KSTREAMS_JAVA_DIR") {
        return Ok(PathBuf::from(dir));
    }
    let home = env::var_os("HOME").ok_or_else(|| {
        Error::new(ErrorKind::Missing, "neither KSTREAMS_JAVA_DIR nor HOME is set")
    })?;
    Ok(Path::new(&home).join(".cache/kstreams/java-4.3.1"))
}

/// Finds a program in `JAVA_HOME` or on the path.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    home.into_iter()
        .chain(env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            let message = format!("{name} is not installed: run scripts/setup full");
            Error::new(ErrorKind::Missing, message)
        })
}

/// The last `count` lines of `text`.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

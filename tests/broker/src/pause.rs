//! A process stopped for a while: the broker, or a process of an application that a test runs.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::{Error, ErrorKind, Result};

/// Holds a process stopped (SIGSTOP) until this is dropped (SIGCONT).
///
/// A helper process does it, which waits for its stdin to close. So the process runs on, and sees the
/// end of its own stdin, even if this one dies in between.
#[derive(Debug)]
pub struct Pause {
    holder: Child,
    stdin: Option<ChildStdin>,
}

impl Pause {
    /// Stops the process with this id.
    ///
    /// # Errors
    /// [`ErrorKind::Program`] when it does not take the signal.
    pub fn start(pid: u32) -> Result<Self> {
        // Without the trap a broken pipe at echo, when this process dies right now, would end the shell
        // before it lets the other one go on.
        let script = "trap '' PIPE; kill -STOP \"$0\" && echo && read end; kill -CONT \"$0\"";
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(pid.to_string());
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = command.spawn().map_err(Error::io("pause a process"))?;
        let stdin = holder.stdin.take();
        let stdout = holder.stdout.take();
        let pause = Self { holder, stdin };
        let mut line = String::new();
        let read = stdout.map_or(Ok(0), |stdout| BufReader::new(stdout).read_line(&mut line));
        match read.map_err(Error::io("pause a process"))? {
            0 => Err(Error::new(ErrorKind::Program, format!("process {pid} was not paused"))),
            _ => Ok(pause),
        }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.holder.wait();
    }
}

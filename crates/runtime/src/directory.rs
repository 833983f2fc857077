//! The state directory: one process at a time, one owner per task, and who this process is.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::random::Random;
use kstreams_core::task::TaskId;
use parking_lot::Mutex;

use crate::identity::{self, Place};

/// `<state.dir>/<application id>`, locked for this process.
pub(crate) struct StateDirectory {
    root: PathBuf,
    process_id: String,
    open: Mutex<BTreeSet<TaskId>>,
    /// Tasks that a thread wants and another one has.
    wanted: Mutex<BTreeSet<TaskId>>,
    /// Held for as long as the application lives; `None` if nothing is kept on disk.
    lock: Option<File>,
    /// Deletes the state of a task that is kept elsewhere, as on a simulated disk.
    wipe_elsewhere: Option<Box<WipeTask>>,
}

type WipeTask = dyn Fn(TaskId) + Send + Sync;

impl StateDirectory {
    /// Creates and locks the directory. A process that finds it locked is refused, with the id of
    /// the process that holds it.
    pub(crate) fn open(base: &Path, application_id: &str, random: &Random) -> Result<Self> {
        let root = base.join(application_id);
        fs::create_dir_all(&root).map_err(|e| refused(&root, "cannot be created", e))?;
        restrict(&root)?;
        let lock_path = root.join(".lock");
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock_path)
            .map_err(|e| refused(&lock_path, "cannot be opened", e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let _ = lock.read_to_string(&mut owner);
                return Err(Error::new(
                    ErrorKind::StateDir,
                    format!(
                        "state directory {} is in use by process {}; stop it, or give this one \
                         another state directory",
                        root.display(),
                        owner.trim()
                    ),
                ));
            }
            Err(TryLockError::Error(e)) => return Err(refused(&lock_path, "cannot be locked", e)),
        }
        let write_owner = |lock: &mut File| -> std::io::Result<()> {
            lock.set_len(0)?;
            lock.seek(SeekFrom::Start(0))?;
            writeln!(lock, "{}", std::process::id())
        };
        write_owner(&mut lock).map_err(|e| refused(&lock_path, "cannot be written", e))?;
        let process_id = identity::process_id(&root, &Place::of(&root), random)?;
        Ok(Self {
            root,
            process_id,
            open: Mutex::default(),
            wanted: Mutex::default(),
            lock: Some(lock),
            wipe_elsewhere: None,
        })
    }

    /// For applications that keep nothing on disk.
    pub(crate) fn none(base: &Path, application_id: &str, random: &Random) -> Self {
        Self {
            root: base.join(application_id),
            process_id: random.uuid(),
            open: Mutex::default(),
            wanted: Mutex::default(),
            lock: None,
            wipe_elsewhere: None,
        }
    }

    /// For a process whose stores are kept elsewhere: nothing on this machine's disk is touched.
    pub(crate) fn elsewhere(
        process_id: String,
        wipe_task: impl Fn(TaskId) + Send + Sync + 'static,
    ) -> Self {
        Self {
            root: PathBuf::from("/nowhere"),
            process_id,
            open: Mutex::default(),
            wanted: Mutex::default(),
            lock: None,
            wipe_elsewhere: Some(Box::new(wipe_task)),
        }
    }

    /// The id of this process, kept over restarts at the same place.
    pub(crate) fn process_id(&self) -> &str {
        &self.process_id
    }

    /// True if tasks may write to disk.
    pub(crate) fn is_on_disk(&self) -> bool {
        self.lock.is_some()
    }

    pub(crate) fn task_dir(&self, task: TaskId) -> PathBuf {
        self.root.join(task.to_string())
    }

    /// Deletes a task's directory, whose stores are closed.
    pub(crate) fn wipe(&self, task: TaskId) -> Result {
        if let Some(wipe) = &self.wipe_elsewhere {
            wipe(task);
            return Ok(());
        }
        let dir = self.task_dir(task);
        log::warn!("task {task}: local state in {} is wiped and restored", dir.display());
        match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(refused(&dir, "cannot be wiped", e).at_task(task))
            }
            _ => Ok(()),
        }
    }

    /// True if no task is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.lock().is_empty()
    }

    pub(crate) fn global_dir(&self) -> PathBuf {
        self.root.join("global")
    }

    /// Takes a task for one thread; `None` while another thread of this process has not given it
    /// up yet.
    pub(crate) fn claim(self: &Arc<Self>, task: TaskId) -> Option<TaskClaim> {
        let is_free = self.open.lock().insert(task);
        let mut wanted = self.wanted.lock();
        if is_free {
            wanted.remove(&task);
        } else {
            wanted.insert(task);
        }
        is_free.then(|| TaskClaim { directory: Arc::clone(self), task })
    }

    /// True if another thread has asked for this task in vain.
    pub(crate) fn is_wanted(&self, task: TaskId) -> bool {
        self.wanted.lock().contains(&task)
    }
}

/// Deletes the local state of an application that does not run (Java's `KafkaStreams#cleanUp`): the
/// next start restores it from the changelogs. True if there was any.
///
/// ```
/// # let state_dir = std::env::temp_dir().join("kstreams-doc-clean-up");
/// assert!(!kstreams_runtime::clean_up(&state_dir, "orders")?);
/// # Ok::<(), kstreams_core::error::Error>(())
/// ```
///
/// # Errors
/// `StateDir` with the process that uses it, or what the file system says.
pub fn clean_up(state_dir: &Path, application_id: &str) -> Result<bool> {
    let root = state_dir.join(application_id);
    if !root.try_exists().map_err(|e| refused(&root, "cannot be read", e))? {
        return Ok(false);
    }
    // Held to the end: nobody starts on what is being deleted.
    let _directory = StateDirectory::open(state_dir, application_id, &Random::from_os())?;
    fs::remove_dir_all(&root).map_err(|e| refused(&root, "cannot be deleted", e))?;
    Ok(true)
}

impl Drop for StateDirectory {
    fn drop(&mut self) {
        // Closing is not enough: a child that was forked a moment ago holds the file, and with it the
        // lock, until it runs its program.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

impl std::fmt::Debug for StateDirectory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateDirectory")
            .field("root", &self.root)
            .field("process_id", &self.process_id)
            .finish_non_exhaustive()
    }
}

/// The right to open a task's stores; given back when dropped.
#[derive(Debug)]
pub(crate) struct TaskClaim {
    directory: Arc<StateDirectory>,
    task: TaskId,
}

impl TaskClaim {
    pub(crate) fn task(&self) -> TaskId {
        self.task
    }
}

impl Drop for TaskClaim {
    fn drop(&mut self) {
        self.directory.open.lock().remove(&self.task);
    }
}

/// State may hold what the topics hold: others on the machine should not read it (as Java's 0750).
fn restrict(root: &Path) -> Result {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o750);
        fs::set_permissions(root, mode).map_err(|e| refused(root, "cannot be restricted", e))?;
    }
    #[cfg(not(unix))]
    let _ = root;
    Ok(())
}

pub(crate) fn refused(path: &Path, what: &str, source: std::io::Error) -> Error {
    Error::new(ErrorKind::StateDir, format!("{} {what}: {source}", path.display()))
        .with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("kstreams-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn a_second_owner_is_refused_and_told_the_first() {
        let base = scratch("lock");
        let random = Random::seeded(1);
        let first = StateDirectory::open(&base, "app", &random).unwrap();
        let error = StateDirectory::open(&base, "app", &random).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StateDir);
        assert!(error.message().contains(&std::process::id().to_string()), "{error}");
        let id = first.process_id().to_owned();
        drop(first);
        let again = StateDirectory::open(&base, "app", &random).unwrap();
        assert_eq!(again.process_id(), id);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn state_is_cleaned_up_unless_it_is_in_use() {
        let base = scratch("clean");
        assert!(!clean_up(&base, "app").unwrap());
        let directory = StateDirectory::open(&base, "app", &Random::seeded(1)).unwrap();
        fs::create_dir_all(base.join("app/0_0/rocksdb")).unwrap();
        assert!(clean_up(&base, "app").unwrap_err().message().contains("in use by process"));
        drop(directory);
        assert!(clean_up(&base, "app").unwrap());
        assert!(!base.join("app").exists() && !clean_up(&base, "app").unwrap());
        fs::remove_dir_all(base).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn others_on_the_machine_cannot_read_state() {
        use std::os::unix::fs::PermissionsExt;
        let base = scratch("mode");
        let directory = StateDirectory::open(&base, "app", &Random::seeded(1)).unwrap();
        let mode = fs::metadata(base.join("app")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o750);
        drop(directory);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn garbled_process_metadata_is_made_anew() {
        let base = scratch("metadata");
        let random = Random::seeded(1);
        let first = StateDirectory::open(&base, "app", &random).unwrap().process_id().to_owned();
        let path = base.join("app/kafka-streams-process-metadata");
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let directory = StateDirectory::open(&base, "app", &random).unwrap();
            let id = directory.process_id();
            // What is missing of the last characters says nothing.
            assert_eq!(id.len(), 36, "{length} bytes are left");
            assert!(length + 2 >= whole.len() || id != first, "{length} bytes are left");
        }
        fs::write(&path, [0xff; 50]).unwrap();
        assert_eq!(StateDirectory::open(&base, "app", &random).unwrap().process_id().len(), 36);
        fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_task_has_one_owner() {
        let directory = Arc::new(StateDirectory::none(Path::new("/"), "app", &Random::seeded(1)));
        let task = TaskId { subtopology: 0, partition: 0 };
        let claim = directory.claim(task).unwrap();
        assert!(directory.claim(task).is_none());
        drop(claim);
        assert!(directory.claim(task).is_some());
    }

    #[test]
    fn a_path_that_is_a_file_is_refused_by_name() {
        let base = scratch("file");
        fs::write(&base, "x").unwrap();
        let error = StateDirectory::open(&base, "app", &Random::seeded(1)).unwrap_err();
        assert!(error.message().contains(base.to_str().unwrap()));
        fs::remove_file(base).unwrap();
    }
}

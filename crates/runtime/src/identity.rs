//! Who this process is over its restarts: an id kept in the state directory, so that a process that
//! was killed comes back as itself, and the place it belongs to, so that a copy does not.
//!
//! A member of a streams group that joins under the id of one that is still known gets its tasks at
//! once, and its producer fences the old one. Nothing may do so by mistake: where the host, its
//! boot, or the directory itself is not what was noted beside the id, a new one is taken.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use kstreams_core::error::Result;
use kstreams_core::random::Random;

use crate::directory::refused;

/// Where a process runs. After a reboot nothing of before is alive, but a machine may have been
/// cloned meanwhile; a directory that was copied has another number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    host: String,
    boot: String,
    directory: String,
}

impl Place {
    /// This machine and this directory; what the system does not tell stays empty.
    pub(crate) fn of(root: &Path) -> Self {
        let told = |file: &str| fs::read_to_string(file).unwrap_or_default().trim().to_owned();
        Self {
            host: told("/proc/sys/kernel/hostname"),
            boot: told("/proc/sys/kernel/random/boot_id"),
            directory: number(root),
        }
    }

    fn text(&self) -> String {
        format!("host {}\nboot {}\ndirectory {}\n", self.host, self.boot, self.directory)
    }
}

/// The process id kept in `root`, or a new one where it may be another's.
///
/// The id is in Java's `kafka-streams-process-metadata`: `{"processId":"<uuid>"}`; the place is in
/// a file of its own beside it.
///
/// # Errors
/// `StateDir` if it cannot be written.
///
/// # Differs from Kafka Streams
/// There the id is kept whatever happened to the directory.
pub(crate) fn process_id(root: &Path, place: &Place, random: &Random) -> Result<String> {
    let path = root.join("kafka-streams-process-metadata");
    let place_path = root.join("kstreams-place");
    if let Some(known) = read_id(&path) {
        let noted = fs::read_to_string(&place_path).unwrap_or_default();
        if noted == place.text() {
            return Ok(known);
        }
        log::info!(
            "{}: the process id was taken at another place or before a reboot; a new one is taken",
            root.display()
        );
    }
    let uuid = random.uuid();
    // The id first: between the two it is taken for a strange one, and made anew.
    let _ = fs::remove_file(&place_path);
    for (path, text) in
        [(&path, format!("{{\"processId\":\"{uuid}\"}}")), (&place_path, place.text())]
    {
        replace(path, &text).map_err(|e| refused(path, "cannot be written", e))?;
    }
    Ok(uuid)
}

/// The id of a thread's member: the same after a restart, as long as the process id is.
pub(crate) fn member_id(process_id: &str, thread: usize) -> String {
    format!("{process_id}-{}", thread + 1)
}

fn read_id(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let uuid = text.split('"').nth(3).unwrap_or_default();
    if text.contains("\"processId\"") && uuid.len() == 36 {
        return Some(uuid.to_owned());
    }
    log::warn!("{} is not readable as process metadata; made anew", path.display());
    None
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let tmp = path.with_extension("tmp");
    let mut file = File::create(&tmp)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&tmp, path)
}

/// A copy of a directory has another number, one that was moved within its disk the same.
fn number(root: &Path) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(root).map(|data| format!("{}:{}", data.dev(), data.ino())).unwrap_or_default()
    }
    #[cfg(not(unix))]
    root.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("kstreams-id-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn id(root: &Path, place: &Place, seed: u64) -> String {
        process_id(root, place, &Random::seeded(seed)).unwrap()
    }

    #[test]
    fn a_process_is_itself_again_at_the_same_place() {
        let root = scratch("same");
        let place = Place::of(&root);
        assert_eq!(id(&root, &place, 1), id(&root, &Place::of(&root), 2));
        assert_ne!(member_id("p", 0), member_id("p", 1));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn elsewhere_or_after_a_reboot_it_is_a_new_one_and_stays_that() {
        let root = scratch("else");
        let here = Place::of(&root);
        let first = id(&root, &here, 1);
        let elsewhere = |change: fn(&mut Place)| {
            let mut place = here.clone();
            change(&mut place);
            place
        };
        let places = [
            elsewhere(|place| place.host.push('x')),
            elsewhere(|place| place.boot.push('x')),
            elsewhere(|place| place.directory.push('x')),
        ];
        for (place, seed) in places.iter().zip([2, 4, 6]) {
            let new = id(&root, place, seed);
            assert_ne!(new, first);
            assert_eq!(id(&root, place, seed + 1), new);
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_copied_directory_is_another_process() {
        let (root, copy) = (scratch("original"), scratch("copy"));
        let first = id(&root, &Place::of(&root), 1);
        for file in ["kafka-streams-process-metadata", "kstreams-place"] {
            fs::copy(root.join(file), copy.join(file)).unwrap();
        }
        assert_ne!(id(&copy, &Place::of(&copy), 2), first);
        assert_eq!(id(&root, &Place::of(&root), 3), first, "the original stays");
        for dir in [root, copy] {
            fs::remove_dir_all(dir).unwrap();
        }
    }

    #[test]
    fn an_id_without_a_place_or_that_cannot_be_read_is_made_anew() {
        let root = scratch("odd");
        let place = Place::of(&root);
        let first = id(&root, &place, 1);
        fs::remove_file(root.join("kstreams-place")).unwrap();
        let second = id(&root, &place, 2);
        assert_ne!(second, first);
        fs::write(root.join("kafka-streams-process-metadata"), "{").unwrap();
        assert_ne!(id(&root, &place, 3), second);
        fs::remove_dir_all(root).unwrap();
    }
}

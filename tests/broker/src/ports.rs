//! Two free ports per broker, kept from other test processes while the broker lives, so that a restart
//! finds its port free. Used by `Broker` and for the class archive.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process,
};

use crate::{Error, ErrorKind, Result};

/// The first port tried. All lie below the range from which systems pick ports for connections.
const FIRST: u16 = 21_000;
/// How many pairs there are.
const PAIRS: u16 = 2_000;

/// A pair of ports, reserved until this is dropped.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) broker: u16,
    pub(crate) controller: u16,
    /// Its lock is the reservation.
    _lock: File,
}

impl Ports {
    /// Reserves a pair that no broker of ours holds and nothing else listens on.
    pub(crate) fn reserve(dir: &Path) -> Result<Self> {
        let dir = dir.join("ports");
        fs::create_dir_all(&dir).map_err(Error::io(format!("create {}", dir.display())))?;
        // Processes begin at different pairs, so a port is not taken up again right after its last use.
        let start = (process::id() % u32::from(PAIRS)) as u16;
        for step in 0..PAIRS {
            let pair = (start + step) % PAIRS;
            let path = dir.join(pair.to_string());
            let lock =
                File::create(&path).map_err(Error::io(format!("open {}", path.display())))?;
            let (broker, controller) = (FIRST + 2 * pair, FIRST + 2 * pair + 1);
            if lock.try_lock().is_ok() && is_free(broker) && is_free(controller) {
                return Ok(Self { broker, controller, _lock: lock });
            }
        }
        Err(Error::new(ErrorKind::Start, "no two free ports found"))
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Folder;

    #[test]
    fn pairs_held_at_once_differ() {
        let folder = Folder::new().unwrap();
        let one = Ports::reserve(folder.path()).unwrap();
        let other = Ports::reserve(folder.path()).unwrap();
        assert_ne!(one.broker, other.broker);
        assert_eq!(one.broker + 1, one.controller);
    }
}

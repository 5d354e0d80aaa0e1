//! Whether any file of a configuration is another one than it was.
//!
//! Files are looked at twice a second, by name: so it does not matter how an editor or a tool replaces one, whether by writing
//! into it, by a rename, or by a symbolic link further up that leads elsewhere, and it works on file systems that tell nobody
//! of changes. A change counts when nothing has moved for two looks, so that half of a checkout is not read.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How often files are looked at.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// By how much the time of a file can lag behind the clock.
const GRAIN: Duration = Duration::from_millis(50);
/// The most files of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// What tells that a file is another one than before; `None` where there is none.
type Stamp = Option<Vec<[i128; 5]>>;

/// The files, and how they were.
pub(super) struct Watch {
    taken: BTreeMap<PathBuf, Stamp>,
    seen: BTreeMap<PathBuf, Stamp>,
}

impl Watch {
    /// Looks after these files, which were read not before `begun`.
    pub(super) fn new(files: impl IntoIterator<Item = PathBuf>, begun: SystemTime) -> Watch {
        let changed_since = |stamp: &Stamp| {
            let begun =
                begun.checked_sub(GRAIN).and_then(|begun| begun.duration_since(SystemTime::UNIX_EPOCH).ok());
            let begun = begun.map_or(0, |begun| i128::try_from(begun.as_nanos()).unwrap_or(i128::MAX));
            stamp.iter().flatten().any(|[.., changed]| *changed >= begun)
        };
        let seen: BTreeMap<_, _> = files.into_iter().map(|file| (file.clone(), stamp(&file))).collect();
        // What was written while it was read may have been read before: it is read again.
        let taken = seen.iter().map(|(file, stamp)| {
            let taken = if changed_since(stamp) { Some(Vec::new()) } else { stamp.clone() };
            (file.clone(), taken)
        });
        Watch { taken: taken.collect(), seen }
    }

    pub(super) fn into_files(self) -> impl Iterator<Item = PathBuf> {
        self.taken.into_keys()
    }

    /// Whether something has changed and has come to rest.
    pub(super) fn look(&mut self) -> bool {
        let now: BTreeMap<_, _> = self.taken.keys().map(|file| (file.clone(), stamp(file))).collect();
        let rests = now == self.seen;
        self.seen = now;
        rests && self.seen != self.taken
    }
}

fn stamp(path: &Path) -> Stamp {
    let Ok(there) = std::fs::metadata(path) else { return of_pattern(path) };
    let mut stamps = vec![of(&there)];
    if there.is_dir() {
        let entries = std::fs::read_dir(path).ok()?;
        let mut inside: Vec<_> = entries
            .take(MAX_ENTRIES)
            .filter_map(|entry| std::fs::metadata(entry.ok()?.path()).ok())
            .filter(Metadata::is_file)
            .map(|file| of(&file))
            .collect();
        inside.sort_unstable();
        stamps.extend(inside);
    }
    Some(stamps)
}

/// The files that a pattern of names matches: one that is new counts, and what else lies in their folder does not.
fn of_pattern(path: &Path) -> Stamp {
    if !path.to_str()?.contains(['*', '?', '[']) {
        return None;
    }
    let files = portcullis_config::files::matches(path)?;
    let stamps = files.iter().take(MAX_ENTRIES).filter_map(|file| std::fs::metadata(file).ok());
    Some(stamps.map(|file| of(&file)).collect())
}

fn of(file: &Metadata) -> [i128; 5] {
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    [
        i128::from(file.dev()),
        i128::from(file.ino()),
        i128::from(file.size()),
        nanos(file.mtime(), file.mtime_nsec()),
        // Set by the operating system alone, so nothing that puts the time of a file back hides a change.
        nanos(file.ctime(), file.ctime_nsec()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("portcullis-watch-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn run(&self, command: &str) {
            let done = Command::new("sh").args(["-ec", command]).current_dir(&self.0).output().unwrap();
            assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A file that was read a while ago.
    fn watch(file: &Path) -> Watch {
        Watch::new([file.to_owned()], SystemTime::now() + Duration::from_secs(1))
    }

    #[test]
    fn every_way_of_changing_a_file_is_noticed() {
        let folder = Folder::new("ways");
        let ways = [
            ("written into", "printf 'b' > f"),
            ("as vim does", "cp f f~ && printf 'b' > .f.swp && mv .f.swp f"),
            ("sed -i", "sed -i s/a/b/ f"),
            ("the same length and time", "touch -r f t && printf 'b' > f && touch -r t f"),
            ("removed", "rm f"),
        ];
        for (name, way) in ways {
            fs::write(folder.path("f"), "a").unwrap();
            let mut watch = watch(&folder.path("f"));
            assert!(!watch.look() && !watch.look(), "{name}: nothing has changed");
            folder.run(way);
            assert!(!watch.look(), "{name}: it may still be changing");
            assert!(watch.look(), "{name}");
        }
    }

    #[test]
    fn a_link_further_up_that_leads_elsewhere_is_noticed() {
        // As kubectl does: f -> ..data/f, ..data -> ..1, and then ..data -> ..2 by a rename.
        let folder = Folder::new("links");
        folder.run("mkdir ..1 ..2 && printf a > ..1/f && printf b > ..2/f");
        symlink("..1", folder.path("..data")).unwrap();
        symlink("..data/f", folder.path("f")).unwrap();
        let mut watch = watch(&folder.path("f"));
        folder.run("ln -s ..2 ..tmp && mv -T ..tmp ..data && rm -r ..1");
        assert!(!watch.look());
        assert!(watch.look());
    }

    #[test]
    fn a_checkout_is_noticed_when_it_is_done() {
        let folder = Folder::new("git");
        folder.run(
            "git init -q . && git config user.email a@b.c && git config user.name n && printf a > f && git add f && \
             git commit -qm one && git checkout -qb two && printf b > f && git commit -qam two",
        );
        let mut watch = watch(&folder.path("f"));
        folder.run("git checkout -q - && rm f");
        assert!(!watch.look(), "half of it");
        folder.run("git checkout -q f");
        assert!(!watch.look(), "the other half");
        assert!(watch.look());
    }

    #[test]
    fn a_file_that_was_written_while_it_was_read_is_read_again() {
        let folder = Folder::new("race");
        let begun = SystemTime::now();
        fs::write(folder.path("f"), "a").unwrap();
        let mut watch = Watch::new([folder.path("f")], begun);
        assert!(watch.look());
    }

    #[test]
    fn a_folder_is_its_files() {
        let folder = Folder::new("folder");
        fs::write(folder.path("f"), "a").unwrap();
        let mut watch = watch(&folder.0);
        assert!(!watch.look());
        fs::write(folder.path("f"), "bb").unwrap();
        assert!(!watch.look());
        assert!(watch.look());
    }

    #[test]
    fn a_new_file_of_a_pattern_counts_and_a_log_beside_it_does_not() {
        let folder = Folder::new("pattern");
        folder.run("mkdir routes; echo a > routes/a.yaml; echo x > access.log; echo x > routes/access.log");
        let mut watch =
            Watch::new([folder.path("routes/*.yaml")], SystemTime::now() + Duration::from_secs(60));
        assert!(!watch.look());
        folder.run("echo more >> access.log; echo more >> routes/access.log");
        assert!(!watch.look() && !watch.look());
        folder.run("echo b > routes/b.yaml");
        assert!(!watch.look(), "it has just come");
        assert!(watch.look());
        let mut watch =
            Watch::new([folder.path("routes/*.yaml")], SystemTime::now() + Duration::from_secs(60));
        folder.run("rm routes/a.yaml");
        assert!(!watch.look());
        assert!(watch.look());
    }
}

//! Writing the log files.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use homeostat_spec::LogRotation;
use jiff::Timestamp;

use crate::line::{LogStream, Record};
use crate::{CURRENT, file};

/// Records are gathered up to so many bytes before they are written: a chunk of a pipe in one write.
const GATHERED: usize = 64 * 1024;

/// Writes records to the files of a directory and rotates them.
///
/// Never fails for good: what cannot be written (a full disk) is dropped and counted, and the log says so
/// once it can be written again.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    rotation: LogRotation,
    /// The current file and its size.
    current: Option<(fs::File, u64)>,
    gathered: Vec<u8>,
    gathered_records: u64,
    lost: Option<Lost>,
}

/// What could not be written.
#[derive(Debug)]
struct Lost {
    records: u64,
    reason: String,
}

impl Writer {
    /// Opens the log in a directory, which is created if absent.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn new(directory: &Path, rotation: LogRotation) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut writer = Self {
            directory: directory.to_owned(),
            rotation,
            current: None,
            gathered: Vec::new(),
            gathered_records: 0,
            lost: None,
        };
        writer.remove_superfluous();
        if let Err(error) = writer.open() {
            writer.lose(0, &error);
        }
        Ok(writer)
    }

    /// Changes the limits from now on.
    pub fn set_rotation(&mut self, rotation: LogRotation) {
        self.rotation = rotation;
        self.remove_superfluous();
    }

    /// Takes a record; it is written with the next [`flush`](Self::flush) at the latest.
    pub fn add(&mut self, record: Record<'_>) {
        let before = self.gathered.len();
        record.write_to(&mut self.gathered);
        let length = (self.gathered.len() - before) as u64;
        let size = self.current.as_ref().map_or(0, |(_, size)| *size) + before as u64;
        if size > 0 && size + length > self.rotation.max_size {
            let record = self.gathered.split_off(before);
            self.write_gathered();
            self.rotate();
            self.gathered.extend_from_slice(&record);
        }
        self.gathered_records += 1;
        if self.gathered.len() >= GATHERED {
            self.write_gathered();
        }
    }

    /// Writes what was gathered.
    pub fn flush(&mut self) {
        self.write_gathered();
        // A burst of short lines needs much more room than the next chunk will.
        self.gathered.shrink_to(GATHERED / 4);
    }

    fn write_gathered(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let records = std::mem::take(&mut self.gathered_records);
        let notice = self.lost.as_ref().map(Lost::notice);
        if let Some(notice) = &notice {
            self.gathered.splice(0..0, notice.iter().copied());
        }
        match self.append() {
            Ok(()) => self.lost = None,
            Err(error) => self.lose(records, &error),
        }
        self.gathered.clear();
    }

    /// Appends what was gathered, all of it or nothing.
    fn append(&mut self) -> io::Result<()> {
        if self.current.is_none() {
            self.open()?;
        }
        let Some((file, size)) = &mut self.current else { return Ok(()) };
        if let Err(error) = file.write_all(&self.gathered) {
            // Half a line would garble the next one.
            let _ = file.set_len(*size);
            return Err(error);
        }
        *size += self.gathered.len() as u64;
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        let path = self.directory.join(CURRENT);
        let mut file = options
            .create(true)
            .append(true)
            .read(true)
            .mode(0o640)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        let mut size = file.metadata()?.len();
        if size > 0 && !ends_with_newline(&file, size)? {
            // A power cut tore the last line.
            file.write_all(b"\n")?;
            size += 1;
        }
        self.current = Some((file, size));
        Ok(())
    }

    /// Makes every file older by one and begins a new one.
    fn rotate(&mut self) {
        self.current = None;
        let kept = self.rotation.max_files.max(1);
        for age in (1..kept).rev() {
            // Those that are not there yet are no error; one that cannot be moved is overwritten.
            let _ = fs::rename(file(&self.directory, age - 1), file(&self.directory, age));
        }
        if kept == 1 {
            let _ = fs::remove_file(file(&self.directory, 0));
        }
    }

    /// Removes files that are older than the limits allow, up to the first age that is not there.
    fn remove_superfluous(&self) {
        for age in self.rotation.max_files.max(1).. {
            if fs::remove_file(file(&self.directory, age)).is_err() {
                break;
            }
        }
    }

    fn lose(&mut self, records: u64, error: &io::Error) {
        // Opening again at the next chance also heals a file that went away with its file system.
        self.current = None;
        let lost = self.lost.get_or_insert_with(|| Lost { records: 0, reason: String::new() });
        lost.records += records;
        lost.reason = error.to_string();
    }
}

impl Lost {
    fn notice(&self) -> Vec<u8> {
        if self.records == 0 {
            return Vec::new();
        }
        let text = format!("homeostat: {} lines of this log were lost: {}", self.records, self.reason);
        let mut out = Vec::new();
        let (time, stream) = (Timestamp::now(), LogStream::Stderr);
        Record { time, stream, partial: false, text: text.as_bytes() }.write_to(&mut out);
        out
    }
}

fn ends_with_newline(file: &fs::File, size: u64) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    let mut last = [0];
    file.file().read_exact_at(&mut last, size - 1)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(writer: &mut Writer, text: &str) {
        let record = Record {
            time: Timestamp::UNIX_EPOCH,
            stream: LogStream::Stdout,
            partial: false,
            text: text.as_bytes(),
        };
        writer.add(record);
        writer.flush();
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A record of the text "x" has 42 bytes.
    const RECORD: u64 = 42;

    #[test]
    fn rotates_before_a_file_grows_beyond_its_size_and_keeps_so_many_files() {
        let directory = tempfile::tempdir().unwrap();
        let rotation = LogRotation { max_size: 2 * RECORD, max_files: 3 };
        let mut writer = Writer::new(directory.path(), rotation).unwrap();
        for _ in 0..20 {
            add(&mut writer, "x");
        }
        assert_eq!(names(directory.path()), ["current.log", "current.log.1", "current.log.2"]);
        for name in names(directory.path()) {
            assert_eq!(fs::metadata(directory.path().join(name)).unwrap().len(), 2 * RECORD);
        }
    }

    #[test]
    fn one_file_is_begun_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer =
            Writer::new(directory.path(), LogRotation { max_size: RECORD, max_files: 1 }).unwrap();
        for _ in 0..5 {
            add(&mut writer, "x");
        }
        assert_eq!(names(directory.path()), ["current.log"]);
        assert_eq!(fs::metadata(directory.path().join(CURRENT)).unwrap().len(), RECORD);
    }

    #[test]
    fn fewer_files_are_kept_after_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer =
            Writer::new(directory.path(), LogRotation { max_size: RECORD, max_files: 5 }).unwrap();
        for _ in 0..10 {
            add(&mut writer, "x");
        }
        writer.set_rotation(LogRotation { max_size: RECORD, max_files: 2 });
        assert_eq!(names(directory.path()), ["current.log", "current.log.1"]);
    }

    #[test]
    fn a_torn_last_line_is_ended_first() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(CURRENT), b"torn").unwrap();
        let rotation = LogRotation { max_size: 1000, max_files: 2 };
        let mut writer = Writer::new(directory.path(), rotation).unwrap();
        add(&mut writer, "x");
        let content = fs::read_to_string(directory.path().join(CURRENT)).unwrap();
        assert_eq!(content, "torn\n1970-01-01T00:00:00.000000000Z stdout F x\n");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_told_later() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let rotation = LogRotation { max_size: 1000, max_files: 2 };
        let mut writer = Writer::new(&log, rotation).unwrap();
        writer.current = None;
        fs::remove_dir_all(&log).unwrap();
        add(&mut writer, "lost");
        add(&mut writer, "lost too");
        fs::create_dir(&log).unwrap();
        add(&mut writer, "x");
        let content = fs::read_to_string(log.join(CURRENT)).unwrap();
        let lines: Vec<_> = content.lines().collect();
        assert_eq!(lines.len(), 2, "{content}");
        assert!(lines[0].contains(" stderr F homeostat: 2 lines of this log were lost: "), "{content}");
        assert!(lines[1].ends_with(" stdout F x"), "{content}");
    }
}

//! Reading the log files, while they may be written and rotated.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::{SignedDuration, Timestamp};

use crate::file;
use crate::line::{LogLine, LogStream, Record};

/// A line that comes in parts is passed on when it has so many bytes, ended or not.
const JOINED_LIMIT: usize = 1024 * 1024;

/// No line of a log file is longer; more is garbage that is skipped in pieces.
const RECORD_LIMIT: u64 = 64 * 1024;

/// How much is read at once when looking for lines from the end.
const BLOCK: u64 = 64 * 1024;

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Only so many lines from the end.
    pub tail: Option<usize>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Only lines up to this time.
    pub until: Option<Timestamp>,
}

/// Reads the log of a directory, oldest line first, across rotated files.
///
/// After the last line [`next_line`](Self::next_line) answers `None`; asked again later it goes on with what was written
/// since, also when files were rotated meanwhile. That is all that following a log needs.
#[derive(Debug)]
pub struct LogReader {
    directory: PathBuf,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    reading: Option<Reading>,
    /// Newer files, already opened so that a rotation does not take them away.
    next: VecDeque<fs::File>,
    joined: [Option<LogLine>; 2],
}

/// The file that is read now.
#[derive(Debug)]
struct Reading {
    file: BufReader<fs::File>,
    inode: u64,
    /// A begun line, whose end is not written yet.
    begun: Vec<u8>,
}

impl Reading {
    fn new(file: fs::File) -> io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self { file: BufReader::new(file), inode, begun: Vec::new() })
    }

    /// The next line without its end; `None` when there is no whole one.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let room = RECORD_LIMIT.saturating_sub(self.begun.len() as u64);
        (&mut self.file).take(room).read_until(b'\n', &mut self.begun)?;
        if self.begun.last() == Some(&b'\n') {
            self.begun.pop();
        } else if (self.begun.len() as u64) < RECORD_LIMIT {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.begun)))
    }
}

impl LogReader {
    /// Opens the log of a directory, which need not exist yet.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(directory: &Path, query: &LogQuery) -> io::Result<Self> {
        let mut files = open_all(directory, None)?;
        if let Some(lines) = query.tail {
            skip_to_tail(&mut files, lines, query.until)?;
        }
        if let Some(since) = query.since {
            skip_older(&mut files, since)?;
        }
        let directory = directory.to_owned();
        let LogQuery { since, until, .. } = *query;
        Ok(Self { directory, since, until, reading: None, next: files, joined: [None, None] })
    }

    /// The next line; `None` when there is none now.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<LogLine>> {
        while let Some(line) = self.next_raw()? {
            let Some(record) = Record::parse(&line) else { continue };
            if let Some(line) = join(&mut self.joined, &record)
                && self.since.is_none_or(|since| line.time >= since)
                && self.until.is_none_or(|until| line.time <= until)
            {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    fn next_raw(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(reading) = &mut self.reading
                && let Some(line) = reading.next_line()?
            {
                return Ok(Some(line));
            }
            let Some(file) = self.next_file()? else { return Ok(None) };
            // What the monitor had written to a file before it rotated it away was read above or is now.
            if let Some(reading) = &mut self.reading
                && let Some(line) = reading.next_line()?
            {
                self.next.push_front(file);
                return Ok(Some(line));
            }
            self.reading = Some(Reading::new(file)?);
        }
    }

    /// The file that comes after the one read now, if there is one.
    fn next_file(&mut self) -> io::Result<Option<fs::File>> {
        if self.next.is_empty() {
            let inode = self.reading.as_ref().map(|reading| reading.inode);
            self.next = open_all(&self.directory, inode)?;
        }
        Ok(self.next.pop_front())
    }
}

/// The files of a log, oldest first; with an inode only those newer than the file that has it. If none
/// has it, it was rotated out of existence, and all are newer.
fn open_all(directory: &Path, newer_than: Option<u64>) -> io::Result<VecDeque<fs::File>> {
    let mut files = VecDeque::new();
    for age in 0.. {
        let file = match fs::File::open(file(directory, age)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Between a rotation and the next line there is no current file.
                if age == 0 {
                    continue;
                }
                break;
            }
            Err(error) => return Err(error),
        };
        let inode = file.metadata()?.ino();
        if newer_than == Some(inode) {
            break;
        }
        files.push_front(file);
    }
    remove_doubles(files)
}

/// A rotation while the files were opened shows one of them under two names.
fn remove_doubles(files: VecDeque<fs::File>) -> io::Result<VecDeque<fs::File>> {
    let mut seen = Vec::new();
    let mut unique = VecDeque::new();
    for file in files {
        let inode = file.metadata()?.ino();
        if !seen.contains(&inode) {
            seen.push(inode);
            unique.push_back(file);
        }
    }
    Ok(unique)
}

/// Leaves out files that were last written before `since`; the kernel's clock for that may be some milliseconds behind.
fn skip_older(files: &mut VecDeque<fs::File>, since: Timestamp) -> io::Result<()> {
    let since = since.saturating_sub(SignedDuration::from_secs(1)).unwrap_or(since);
    while let Some(oldest) = files.front() {
        let written = oldest.metadata()?.modified()?;
        if Timestamp::try_from(written).is_ok_and(|written| written < since) && files.len() > 1 {
            files.pop_front();
        } else {
            break;
        }
    }
    Ok(())
}

/// Leaves out files and seeks so that the last `lines` lines remain, those after `until` not counted.
fn skip_to_tail(
    files: &mut VecDeque<fs::File>,
    mut lines: usize,
    until: Option<Timestamp>,
) -> io::Result<()> {
    let mut kept = VecDeque::new();
    while let Some(mut newest) = files.pop_back() {
        let start = tail_start(newest.file(), &mut lines, until)?;
        newest.seek(SeekFrom::Start(start))?;
        kept.push_front(newest);
        if start > 0 || lines == 0 {
            break;
        }
    }
    *files = kept;
    Ok(())
}

/// Where the last `lines` lines of a file begin. Takes from `lines` those that it has.
fn tail_start(file: &std::fs::File, lines: &mut usize, until: Option<Timestamp>) -> io::Result<u64> {
    let mut from = file.metadata()?.len();
    // Bytes from `from` on that were read and belong to a line whose beginning was not.
    let mut rest = Vec::new();
    let mut start = from;
    while from > 0 {
        let length = from.min(BLOCK);
        from -= length;
        let mut block = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact_at(&mut block, from)?;
        block.append(&mut rest);
        while let Some(end) = block.iter().rposition(|byte| *byte == b'\n') {
            let position = from + end as u64 + 1;
            if !take_line(&block[end + 1..], lines, until) {
                return Ok(start);
            }
            start = position;
            block.truncate(end);
        }
        rest = block;
    }
    Ok(if take_line(&rest, lines, until) { 0 } else { start })
}

/// Counts a line from the end; says whether it is wanted. A part of a line counts with the line that it belongs to.
fn take_line(line: &[u8], lines: &mut usize, until: Option<Timestamp>) -> bool {
    let counts = |record: &Record<'_>| !record.partial && until.is_none_or(|until| record.time <= until);
    if Record::parse(line).as_ref().is_some_and(counts) {
        if *lines == 0 {
            return false;
        }
        *lines -= 1;
    }
    true
}

/// Puts parts together; returns a line when it is whole.
fn join(joined: &mut [Option<LogLine>; 2], record: &Record<'_>) -> Option<LogLine> {
    let slot = &mut joined[usize::from(record.stream == LogStream::Stderr)];
    let line =
        slot.get_or_insert_with(|| LogLine { time: record.time, stream: record.stream, text: Vec::new() });
    line.text.extend_from_slice(record.text);
    if record.partial && line.text.len() < JOINED_LIMIT {
        return None;
    }
    slot.take()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use homeostat_spec::LogRotation;

    use super::*;
    use crate::{Splitter, Writer};

    fn write(writer: &mut Writer, text: &str) {
        let mut splitter = Splitter::new(LogStream::Stdout);
        splitter.take(Timestamp::now(), text.as_bytes(), |record| writer.add(record));
        writer.flush();
    }

    fn texts(reader: &mut LogReader) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            found.push(String::from_utf8(line.text).unwrap());
        }
        found
    }

    fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|number| number.to_string()).collect()
    }

    fn lines(range: std::ops::Range<usize>) -> String {
        numbers(range).join("\n") + "\n"
    }

    const SMALL: LogRotation = LogRotation { max_size: 500, max_files: 50 };

    #[test]
    fn reads_across_rotated_files_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(directory.path(), SMALL).unwrap();
        write(&mut writer, &lines(0..100));
        let mut reader = LogReader::open(directory.path(), &LogQuery::default()).unwrap();
        assert_eq!(texts(&mut reader), numbers(0..100));
    }

    #[test]
    fn the_tail_is_exact_wherever_files_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(directory.path(), SMALL).unwrap();
        write(&mut writer, &lines(0..100));
        for tail in 0..=101 {
            let query = LogQuery { tail: Some(tail), ..LogQuery::default() };
            let mut reader = LogReader::open(directory.path(), &query).unwrap();
            assert_eq!(texts(&mut reader), numbers(100usize.saturating_sub(tail)..100), "tail {tail}");
        }
    }

    #[test]
    fn a_long_line_counts_once_and_comes_whole() {
        let directory = tempfile::tempdir().unwrap();
        let rotation = LogRotation { max_size: 1 << 20, max_files: 2 };
        let mut writer = Writer::new(directory.path(), rotation).unwrap();
        let long = "y".repeat(100_000);
        write(&mut writer, &format!("before\n{long}\nafter\n"));
        let query = LogQuery { tail: Some(2), ..LogQuery::default() };
        let mut reader = LogReader::open(directory.path(), &query).unwrap();
        assert_eq!(texts(&mut reader), [long.as_str(), "after"]);
    }

    #[test]
    fn goes_on_with_what_is_written_later_though_files_rotate() {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = LogReader::open(directory.path(), &LogQuery::default()).unwrap();
        assert_eq!(texts(&mut reader), Vec::<String>::new());
        let mut writer = Writer::new(directory.path(), SMALL).unwrap();
        let mut found = Vec::new();
        for round in 0..30 {
            write(&mut writer, &lines(round * 17..(round + 1) * 17));
            found.extend(texts(&mut reader));
        }
        assert_eq!(found, numbers(0..30 * 17));
    }

    #[test]
    fn only_lines_from_a_time_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(directory.path(), SMALL).unwrap();
        write(&mut writer, &lines(0..50));
        let now = Timestamp::now();
        write(&mut writer, &lines(50..60));
        let query = LogQuery { since: Some(now), ..LogQuery::default() };
        let mut reader = LogReader::open(directory.path(), &query).unwrap();
        assert_eq!(texts(&mut reader), numbers(50..60));
    }

    #[test]
    fn only_lines_up_to_a_time_and_the_tail_of_those() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(directory.path(), SMALL).unwrap();
        write(&mut writer, &lines(0..50));
        let until = Some(Timestamp::now());
        write(&mut writer, &lines(50..60));
        for (tail, begin) in [(None, 0), (Some(0), 50), (Some(3), 47), (Some(100), 0)] {
            let query = LogQuery { tail, until, ..LogQuery::default() };
            let mut reader = LogReader::open(directory.path(), &query).unwrap();
            assert_eq!(texts(&mut reader), numbers(begin..50), "tail {tail:?}");
        }
    }

    #[test]
    fn garbage_between_lines_is_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), 0);
        let mut out = fs::File::create(&path).unwrap();
        out.write_all(b"2026-01-02T03:04:05Z stdout F a\n\0\0\0\0\nno line\n").unwrap();
        out.write_all(&vec![b'z'; 200_000]).unwrap();
        out.write_all(b"\n2026-01-02T03:04:05Z stdout F b\n2026-01-02T03:04:05Z stdout F not en").unwrap();
        let mut reader = LogReader::open(directory.path(), &LogQuery::default()).unwrap();
        assert_eq!(texts(&mut reader), ["a", "b"]);
        out.write_all(b"ded\n").unwrap();
        assert_eq!(texts(&mut reader), ["not ended"]);
    }
}

//! Takes lines from a process that may hang, die, or never end its line.
//! Never waits beyond a deadline and never holds more than it was told to.

use std::io::{self, BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often a wait looks whether it should go on.
const GLANCE: Duration = Duration::from_millis(50);
/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// Why there is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLine {
    /// The other side is gone.
    Ended,
    /// The deadline has come.
    Late,
    /// The line is longer than may be.
    Endless,
    /// Whoever asked does not want it any more.
    Unwanted,
}

/// The lines of a stream.
#[derive(Debug)]
pub(super) struct Lines {
    from: BufReader<UnixStream>,
}

impl Lines {
    pub(super) fn new(from: UnixStream) -> io::Result<Self> {
        from.set_read_timeout(Some(GLANCE))?;
        Ok(Self { from: BufReader::with_capacity(BLOCK, from) })
    }

    /// The next line, of at most `most` bytes, unless `deadline` comes first; `glance` is asked now and then whether
    /// to go on.
    pub(super) fn next(
        &mut self,
        most: usize,
        deadline: Instant,
        glance: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<u8>, NoLine> {
        let mut line = Vec::new();
        loop {
            if !glance() {
                return Err(NoLine::Unwanted);
            }
            if Instant::now() >= deadline {
                return Err(NoLine::Late);
            }
            let (taken, is_whole) = match self.from.fill_buf() {
                Ok([]) => return Err(NoLine::Ended),
                Ok(block) => take(block, &mut line),
                Err(error) if is_pause(&error) => continue,
                Err(_) => return Err(NoLine::Ended),
            };
            self.from.consume(taken);
            if line.len() > most {
                return Err(NoLine::Endless);
            }
            if is_whole {
                return Ok(line);
            }
        }
    }
}

fn take(block: &[u8], line: &mut Vec<u8>) -> (usize, bool) {
    let end = block.iter().position(|byte| *byte == b'\n');
    let (text, _) = block.split_at(end.unwrap_or(block.len()));
    line.extend_from_slice(text);
    (text.len() + usize::from(end.is_some()), end.is_some())
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines() -> (UnixStream, Lines) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (theirs, Lines::new(ours).unwrap())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn lines_come_one_by_one_however_they_were_written() {
        let (mut theirs, mut lines) = lines();
        theirs.write_all(b"one\ntwo\nth").unwrap();
        assert_eq!(lines.next(9, soon(), &mut || true).unwrap(), b"one");
        assert_eq!(lines.next(9, soon(), &mut || true).unwrap(), b"two");
        theirs.write_all(b"ree\n").unwrap();
        assert_eq!(lines.next(9, soon(), &mut || true).unwrap(), b"three");
    }

    #[test]
    fn a_line_that_never_ends_is_given_up() {
        let (mut theirs, mut lines) = lines();
        theirs.write_all(&[b'a'; 100]).unwrap();
        assert_eq!(lines.next(99, soon(), &mut || true), Err(NoLine::Endless));
    }

    #[test]
    fn half_a_line_of_one_who_left_is_none() {
        let (mut theirs, mut lines) = lines();
        theirs.write_all(b"half").unwrap();
        drop(theirs);
        assert_eq!(lines.next(99, soon(), &mut || true), Err(NoLine::Ended));
    }

    #[test]
    fn silence_is_waited_out_until_the_deadline_or_until_nobody_wants_the_line() {
        let (_theirs, mut lines) = lines();
        assert_eq!(lines.next(99, Instant::now(), &mut || true), Err(NoLine::Late));
        assert_eq!(lines.next(99, soon(), &mut || false), Err(NoLine::Unwanted));
    }
}

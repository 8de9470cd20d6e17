//! [`Lines`]: lines of the log that wait to be written, and the thread that writes them. Nobody
//! else waits for whoever reads the log.

use std::io::Write;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Once so many bytes wait they are written, for a system call for each line would cost more than
/// making it.
const ENOUGH: usize = 32 * 1024;

/// Nor does a line wait longer than this for others.
const WRITTEN_AFTER: Duration = Duration::from_millis(50);

/// More bytes than this do not wait. Nobody takes them; lines that come then are counted.
const MOST: usize = 4 * 1024 * 1024;

/// A program that ends does not wait longer than this for who reads the log.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// Lines that wait to be written, in the order in which they came.
pub(super) struct Lines {
    waiting: Mutex<Waiting>,
    more: Condvar,
    less: Condvar,
}

struct Waiting {
    text: Vec<u8>,
    /// Lines that there was no room for.
    dropped: u64,
    /// They do not wait for others.
    now: bool,
    /// Some have been taken, and are not written yet.
    writing: bool,
}

impl Lines {
    pub(super) const fn new() -> Self {
        let waiting = Waiting { text: Vec::new(), dropped: 0, now: false, writing: false };
        Self { waiting: Mutex::new(waiting), more: Condvar::new(), less: Condvar::new() }
    }

    /// Adds a line that waits for others, with its newline.
    pub(super) fn add(&self, line: &[u8]) {
        self.put(line, false);
    }

    /// Adds a line that is written now, with all before it.
    pub(super) fn add_now(&self, line: &[u8]) {
        self.put(line, true);
    }

    fn put(&self, line: &[u8], now: bool) {
        let mut waiting = self.lock();
        if waiting.text.len() + line.len() > MOST {
            waiting.dropped += 1;
            return;
        }
        let first = waiting.text.is_empty();
        waiting.text.extend_from_slice(line);
        let hurried = waiting.now;
        waiting.now |= now || waiting.text.len() >= ENOUGH;
        if first || waiting.now != hurried {
            self.more.notify_one();
        }
    }

    /// Writes what comes to `out`, and says to `dropped` how many lines were not.
    pub(super) fn write_to(&self, out: &mut impl Write, mut dropped: impl FnMut(u64)) -> ! {
        let mut text = Vec::new();
        loop {
            let lost = self.take(&mut text);
            // Where nobody takes the log there is nobody to tell.
            let _ = out.write_all(&text).and_then(|()| out.flush());
            text.clear();
            text.shrink_to(2 * ENOUGH);
            if lost > 0 {
                dropped(lost);
            }
            self.lock().writing = false;
            self.less.notify_all();
        }
    }

    /// Waits for lines and takes them, in exchange for the room of `text`.
    fn take(&self, text: &mut Vec<u8>) -> u64 {
        let waiting = self.more.wait_while(self.lock(), |waiting| waiting.text.is_empty());
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let waiting = self.more.wait_timeout_while(waiting, WRITTEN_AFTER, |waiting| !waiting.now);
        let (mut waiting, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut waiting.text, text);
        (waiting.now, waiting.writing) = (false, true);
        mem::take(&mut waiting.dropped)
    }

    /// Waits until all is written, though not for long: before the program ends.
    pub(super) fn finish(&self) {
        let mut waiting = self.lock();
        waiting.now = true;
        self.more.notify_one();
        let left = |waiting: &mut Waiting| waiting.writing || !waiting.text.is_empty();
        drop(self.less.wait_timeout_while(waiting, LAST_WAIT, left));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::thread;

    use super::*;

    /// Hands on what is written, and stands still where nobody takes it.
    struct Reader(SyncSender<Vec<u8>>);

    impl Write for Reader {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.send(text.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lines, who reads them, and who hears what was dropped.
    fn read() -> (&'static Lines, Receiver<Vec<u8>>, Receiver<u64>) {
        let lines: &Lines = Box::leak(Box::new(Lines::new()));
        let ((write, read), (tell, told)) = (sync_channel(0), sync_channel(10));
        thread::spawn(move || {
            lines.write_to(&mut Reader(write), |lost| tell.send(lost).unwrap_or_default());
        });
        (lines, read, told)
    }

    #[test]
    fn lines_come_in_order_and_together() {
        let (lines, read, _) = read();
        lines.add(b"one\n");
        lines.add(b"two\n");
        lines.add_now(b"three\n");
        assert_eq!(read.recv().unwrap(), b"one\ntwo\nthree\n");
        lines.add(b"four\n");
        assert_eq!(read.recv().unwrap(), b"four\n");
    }

    #[test]
    fn who_does_not_read_holds_nobody_up_and_hears_what_he_missed() {
        let (lines, read, told) = read();
        let line = [b'x'; 1024];
        lines.add_now(b"first\n");
        // The thread has taken the first and stands; 4096 of these wait, and the others do not.
        assert_eq!(told.try_recv().ok(), None);
        while lines.lock().text.is_empty() || !lines.lock().writing {
            lines.add(&line);
        }
        (0..5000).for_each(|_| lines.add(&line));
        assert!(lines.lock().text.len() <= MOST);
        assert!(lines.lock().dropped > 0);
        assert_eq!(read.recv().unwrap()[..6], *b"first\n");
        assert!(read.recv().unwrap().len() > MOST - 2048);
        assert!(told.recv().unwrap() > 900);
    }

    #[test]
    fn a_program_that_ends_waits_for_the_last_line() {
        let (lines, read, _) = read();
        lines.add(b"last\n");
        let reader = thread::spawn(move || read.recv().unwrap());
        lines.finish();
        assert!(lines.lock().text.is_empty());
        assert_eq!(reader.join().unwrap(), b"last\n");
    }

    #[test]
    fn without_lines_nobody_waits() {
        Lines::new().finish();
    }
}

//! Sums over a trailing window of time, kept in slots of equal length.
//! Reads no clock, and never holds more slots than the window has.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What happened in the last slots. A slot leaves as a whole.
#[derive(Debug)]
pub(crate) struct Trailing<T> {
    epoch: Instant,
    slot: Duration,
    slots: u64,
    /// The slot that is being filled, and its number.
    newest: (u64, T),
    /// Those before it in which something happened, oldest first.
    older: VecDeque<(u64, T)>,
}

impl<T: Default> Trailing<T> {
    /// A window of `slots` slots.
    pub(crate) fn new(now: Instant, slot: Duration, slots: u64) -> Self {
        // A slot of no length would divide by zero.
        let slot = slot.max(Duration::from_millis(1));
        Self { epoch: now, slot, slots, newest: (0, T::default()), older: VecDeque::new() }
    }

    /// The slot of `now`, and its number. Times before the newest slot count into that one.
    pub(crate) fn current(&mut self, now: Instant) -> (u64, &mut T) {
        self.turn(now);
        (self.newest.0, &mut self.newest.1)
    }

    /// The slots in the window, oldest first.
    pub(crate) fn iter(&mut self, now: Instant) -> impl Iterator<Item = (u64, &T)> {
        self.turn(now);
        self.older.iter().chain([&self.newest]).map(|(number, slot)| (*number, slot))
    }

    /// The slot with this number, while it is in the window.
    pub(crate) fn slot(&mut self, number: u64) -> Option<&mut T> {
        let mut kept = self.older.iter_mut().chain([&mut self.newest]);
        kept.find(|(kept, _)| *kept == number).map(|(_, slot)| slot)
    }

    /// How long after `now` the slot with this number leaves the window.
    pub(crate) fn leaves_in(&self, number: u64, now: Instant) -> Duration {
        let gone_at = u32::try_from(number.saturating_add(self.slots)).unwrap_or(u32::MAX);
        self.slot.saturating_mul(gone_at).saturating_sub(now.saturating_duration_since(self.epoch))
    }

    /// Begins the slot of `now`, and drops what has left the window.
    fn turn(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.epoch).as_nanos() / self.slot.as_nanos();
        let number = u64::try_from(elapsed).unwrap_or(u64::MAX);
        if number > self.newest.0 {
            self.older.push_back(std::mem::replace(&mut self.newest, (number, T::default())));
        }
        while self.older.front().is_some_and(|(oldest, _)| oldest.saturating_add(self.slots) <= number) {
            self.older.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_happened_leaves_with_its_slot() {
        let t0 = Instant::now();
        let mut window = Trailing::<u32>::new(t0, SECOND, 3);
        *window.current(t0).1 += 1;
        let (second, slot) = window.current(t0 + SECOND);
        *slot += 10;
        let sum = |window: &mut Trailing<u32>, at| window.iter(at).map(|(_, n)| *n).sum::<u32>();
        assert_eq!(sum(&mut window, t0 + SECOND * 2), 11);
        assert_eq!(window.leaves_in(second, t0 + SECOND * 2), SECOND * 2);
        assert_eq!(sum(&mut window, t0 + SECOND * 3), 10);
        assert_eq!(sum(&mut window, t0 + SECOND * 4), 0);
        assert!(window.slot(second).is_none());
    }

    #[test]
    fn a_clock_read_earlier_counts_into_the_newest_slot() {
        let t0 = Instant::now();
        let mut window = Trailing::<u32>::new(t0, SECOND, 3);
        window.current(t0 + SECOND);
        assert_eq!(window.current(t0).0, 1);
    }
}

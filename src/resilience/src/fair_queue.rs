//! A bounded queue in which every party gets its turn: whoever asks much waits behind its own requests, not in front of
//! everybody else's.
//! Never holds an entry past its deadline, and never lets one party keep the others out.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Instant;

use crate::deadline::Deadline;

/// Entries of several parties, served in turn, each party's own in order of arrival.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    lanes: HashMap<K, VecDeque<Entry<T>>>,
    /// Parties with entries, the next one to be served in front.
    turns: VecDeque<K>,
    length: usize,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    deadline: Deadline,
}

/// Where an entry ended up.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// It waits.
    Queued,
    /// It waits, and the last entry of the party that had most had to go for it.
    Displaced(T),
    /// The queue is full, and no party has more in it than this one.
    Full(T),
}

impl<K: Clone + Eq + Hash, T> FairQueue<K, T> {
    /// An empty queue for at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { lanes: HashMap::new(), turns: VecDeque::new(), length: 0, capacity }
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether the next entry would find no room.
    pub fn is_full(&self) -> bool {
        self.length >= self.capacity
    }

    /// Parties that wait.
    pub fn parties(&self) -> usize {
        self.turns.len()
    }

    /// Lets an entry wait until `deadline`. A full queue makes room when another party has more entries than this one.
    pub fn push(&mut self, key: &K, item: T, deadline: Deadline) -> Pushed<T> {
        let mut displaced = None;
        if self.is_full() {
            displaced = self.displace_for(key);
            if displaced.is_none() {
                return Pushed::Full(item);
            }
        }
        let lane = self.lanes.entry(key.clone()).or_default();
        if lane.is_empty() {
            self.turns.push_back(key.clone());
        }
        lane.push_back(Entry { item, deadline });
        self.length += 1;
        displaced.map_or(Pushed::Queued, Pushed::Displaced)
    }

    /// The next entry whose deadline has not passed: the oldest one of the party whose turn it is.
    pub fn pop(&mut self, now: Instant) -> Option<T> {
        while let Some(key) = self.turns.pop_front() {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let before = lane.len();
            while lane.front().is_some_and(|entry| entry.deadline.has_passed(now)) {
                lane.pop_front();
            }
            let next = lane.pop_front();
            self.length -= before - lane.len();
            if lane.is_empty() {
                self.lanes.remove(&key);
            } else {
                self.turns.push_back(key);
            }
            if let Some(entry) = next {
                return Some(entry.item);
            }
        }
        None
    }

    /// Removes what `keep` does not want any more, and what is late.
    pub fn purge(&mut self, now: Instant, keep: impl Fn(&T) -> bool) {
        self.lanes.retain(|_, lane| {
            lane.retain(|entry| !entry.deadline.has_passed(now) && keep(&entry.item));
            !lane.is_empty()
        });
        self.turns.retain(|key| self.lanes.contains_key(key));
        self.length = self.lanes.values().map(VecDeque::len).sum();
    }

    /// Takes the youngest entry of the longest lane, if that is longer than `key`'s own will be.
    fn displace_for(&mut self, key: &K) -> Option<T> {
        let own = self.lanes.get(key).map_or(0, VecDeque::len);
        let longest = self.lanes.iter().max_by_key(|(_, lane)| lane.len()).map(|(key, _)| key.clone())?;
        let lane = self.lanes.get_mut(&longest).filter(|lane| lane.len() > own + 1)?;
        let entry = lane.pop_back()?;
        self.length -= 1;
        Some(entry.item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn later(now: Instant) -> Deadline {
        Deadline::after(now, Duration::from_secs(10))
    }

    #[test]
    fn parties_take_turns_and_each_keeps_its_order() {
        let now = Instant::now();
        let mut queue = FairQueue::new(10);
        for (party, item) in [("a", 1), ("a", 2), ("a", 3), ("b", 10), ("c", 20), ("b", 11)] {
            assert_eq!(queue.push(&party, item, later(now)), Pushed::Queued);
        }
        let served: Vec<i32> = std::iter::from_fn(|| queue.pop(now)).collect();
        assert_eq!(served, [1, 10, 20, 2, 11, 3]);
        assert!(queue.is_empty() && queue.parties() == 0);
    }

    #[test]
    fn a_late_entry_is_never_served() {
        let now = Instant::now();
        let mut queue = FairQueue::new(10);
        queue.push(&"a", 1, Deadline::after(now, Duration::from_secs(1)));
        queue.push(&"a", 2, later(now));
        assert_eq!(queue.pop(now + Duration::from_secs(2)), Some(2));
        assert_eq!((queue.pop(now), queue.len()), (None, 0));
    }

    #[test]
    fn a_full_queue_takes_from_whoever_has_most() {
        let now = Instant::now();
        let mut queue = FairQueue::new(3);
        for item in 1..=3 {
            queue.push(&"greedy", item, later(now));
        }
        assert_eq!(queue.push(&"greedy", 4, later(now)), Pushed::Full(4));
        assert_eq!(queue.push(&"modest", 10, later(now)), Pushed::Displaced(3));
        assert_eq!(queue.push(&"modest", 11, later(now)), Pushed::Full(11));
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn what_nobody_waits_for_any_more_makes_room() {
        let now = Instant::now();
        let mut queue = FairQueue::new(3);
        for item in 1..=3 {
            queue.push(&(item % 2), item, later(now));
        }
        queue.purge(now, |item| *item != 2);
        assert_eq!((queue.len(), queue.parties()), (2, 1));
        queue.purge(now + Duration::from_secs(20), |_| true);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_queue_without_room_refuses_everybody() {
        let mut queue = FairQueue::new(0);
        assert_eq!(queue.push(&"a", 1, later(Instant::now())), Pushed::Full(1));
    }
}

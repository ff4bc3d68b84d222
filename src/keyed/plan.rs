//! What a table says, compared with what runs: nothing but decisions.
//!
//! A [`Plan`] is told of rows and of what has become of services, and says what to do. It reads no table and starts nothing, and knows of a
//! service only what it is told in the same call. `now` is always an argument.
//!
//! # What counts as vanished
//!
//! 1. A scan that has come to its end, with no row of an unknown key that could not be read, has not shown the row, and
//! 2. not too many others were missing as well, or the scan before has missed the same ones, or somebody has asked for this scan, and
//! 3. the row is not there either when it is asked for by its key.
//!
//! Everything else stops nothing: a table that is wrong must not stop the fleet.

use std::{
    hash::Hash,
    time::{Duration, Instant},
};

use super::{
    by_key::ByKey,
    settings::{OnChanged, OnVanished},
};
use crate::{
    policy::Backoff,
    user_value::{Each, quietly},
};

/// What is known of the rows of a table, and when it is read again.
#[derive(Debug)]
pub(super) struct Plan<K, V> {
    rules: Rules,
    rows: ByKey<K, Known<V>>,
    /// The number of the latest scan, counted from 1.
    scans: u64,
    /// How many rows that scan has not shown. Counted, so that one that shows all ends without another look at each of them.
    unseen: usize,
    /// The scan that is going on.
    scan: Option<Scan>,
    /// The look for the rows that a scan has missed, which goes from place to place.
    sweep: Option<Sweep<K>>,
    /// The latest scan that has ended and was not believed.
    refused: Option<Refused>,
    /// When the next scan begins, if none is going on.
    next: Option<Instant>,
    /// Whether somebody has asked for a scan since the latest one began.
    asked: Asked,
    /// Since when the table cannot be read, and how often it was tried since.
    unreachable: Option<(Instant, u32)>,
    /// Counts what is read, and what is taken notice of.
    clock: u64,
}

/// When something began to be read: what was read before something else came is not to undo that.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Begun(u64);

/// What a plan goes by.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) on_vanished: OnVanished,
    pub(super) on_changed: OnChanged,
    /// How long after the end of a scan the next one begins.
    pub(super) rescan_every: Duration,
    /// How many services a scan may stop. `None`: half of them, and at least [`FEW`].
    pub(super) max_vanish: Option<usize>,
    /// How long to wait before a table is read again that could not be read.
    pub(super) retry: Backoff,
}

/// As many services may always be stopped by one scan, if nothing else was said.
const FEW: usize = 10;

/// A row that has a service.
#[derive(Clone, Debug)]
struct Known<V> {
    value: V,
    /// The scan that has shown it last.
    seen: u64,
    /// The scan that has shown it itself last.
    shown: u64,
    /// When it was taken notice of last.
    touched: u64,
    doubt: Doubt,
    presence: Presence,
    made: Made,
    /// The scan whose end has found it missing last.
    missed: u64,
    /// Whether the scan that was refused before that one had missed it, too.
    missed_again: bool,
}

impl<V> Known<V> {
    /// A scan has shown it, or what stands for that.
    const fn see(&mut self, scan: u64, unseen: &mut usize) {
        if self.seen < scan {
            self.seen = scan;
            *unseen -= 1;
        }
    }

    /// Somebody says what it is. Reports whether a scan does so that has said it before.
    const fn is_shown_again(&mut self, source: Source, scan: u64) -> bool {
        match source {
            Source::Look => false,
            Source::Scan => std::mem::replace(&mut self.shown, scan) == scan,
        }
    }

    /// The service is to be made of this value.
    fn take_over(&mut self, value: &V)
    where
        V: Clone,
    {
        self.value.clone_from(value);
        self.made = Made::Yes;
    }
}

/// Who says what a row is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Look,
    Scan,
}

/// Whether scans can be believed that say what a row is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doubt {
    No,
    /// One has shown it twice, and not with the same value. Restarted for each of them, its service would be with every scan.
    Yes,
}

/// Whether a service could be made of the latest value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Made {
    No,
    Yes,
}

/// Whether a row was there when it was looked for last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Presence {
    There,
    Missing,
}

/// A scan that is going on.
#[derive(Clone, Copy, Debug)]
struct Scan {
    begun: Begun,
    /// Whether every row could be read so far.
    clean: bool,
    forced: bool,
}

/// The look for the rows that a scan has missed.
#[derive(Debug)]
struct Sweep<K> {
    forced: bool,
    recovered: Option<Instant>,
    /// The next place to look at, of so many.
    place: usize,
    places: usize,
    missing: usize,
    /// How many of them the scan had missed that was refused before.
    again: usize,
    keys: Each<Vec<K>>,
}

/// A scan that would have stopped too many services.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// Its number.
    scan: u64,
    /// How many it has missed, without those that are forgotten meanwhile.
    missing: usize,
}

/// Whether somebody has asked for a scan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    No,
    /// Because something has changed.
    Changed,
    /// A person, who takes it on himself that services are stopped.
    Forced,
}

/// What has become of the service of a row, as far as a plan needs to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Service {
    /// There is none of this name, or another one.
    None,
    /// It runs, or its supervisor will start it by itself.
    Kept,
    /// It was stopped on request: only a request starts it.
    HeldDown,
    /// It has given up, or has ended for good in another way, and is kept.
    Ended,
    /// It was lost with its arbiter: nothing can start it any more.
    Gone,
    /// It is being removed.
    Leaving,
}

/// What is to be done about one row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Do<V> {
    Nothing,
    /// The name belongs to a service that is not of this table.
    Refuse,
    /// Ask for the row by its key: what is known of it came while this was read, and is different.
    Look,
    /// Add a service.
    Start(V),
    /// The next start of the service is with this value; nothing is started or stopped for that.
    Renew(V),
    /// As [`Renew`](Self::Renew), and the service is restarted now.
    Restart(V),
    /// The service is given another chance, with this value if it is another one.
    Reset(Option<V>),
    /// The service is removed; as soon as it is, its row is read, and another one is started.
    Replace,
}

/// What follows from a scan that has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Ended<K> {
    /// Each is to be asked for by its key, and has vanished if it is not there.
    pub(super) suspects: Vec<K>,
    /// How many of how many services would have been stopped, if the scan is not believed.
    pub(super) refused: Option<(usize, usize)>,
    /// Since when the table could not be read, if it can be again.
    pub(super) recovered: Option<Instant>,
}

impl<K, V> Plan<K, V>
where
    K: Clone + Eq + Hash,
    V: Clone + PartialEq,
{
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            rows: ByKey::new(),
            scans: 0,
            unseen: 0,
            scan: None,
            sweep: None,
            refused: None,
            next: None,
            asked: Asked::No,
            unreachable: None,
            clock: 0,
        }
    }

    /// A row begins to be read.
    pub(super) fn begin_read(&mut self) -> Begun {
        self.clock += 1;
        Begun(self.clock)
    }

    /// The supervisor has begun a life: the first scan is due now. What was going on in the life before is over.
    pub(super) fn begin(&mut self, now: Instant) {
        self.scan = None;
        self.sweep = None;
        self.asked = Asked::No;
        self.next = Some(now);
    }

    /// When the next scan is to begin. `None` while one is going on.
    pub(super) const fn next_scan(&self) -> Option<Instant> {
        if self.scan.is_some() || self.is_sweeping() {
            None
        } else {
            self.next
        }
    }

    /// Reports whether a scan has ended, and the rows that it has missed are still looked for: [`sweep`](Self::sweep) goes on with that.
    pub(super) const fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    /// Since when the table cannot be read.
    pub(super) fn unreachable_since(&self) -> Option<Instant> {
        self.unreachable.map(|(since, _)| since)
    }

    /// The value that a service was last made with, or is to be.
    pub(super) fn value(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|known| &known.value)
    }

    /// All rows are to be read as soon as possible, because something has changed.
    pub(super) fn look_again(&mut self, now: Instant) {
        if self.asked == Asked::No {
            self.asked = Asked::Changed;
        }
        self.next = Some(now);
    }

    /// As [`look_again`](Self::look_again), for somebody who takes it on himself that many services are stopped.
    pub(super) fn rescan(&mut self, now: Instant) {
        self.asked = Asked::Forced;
        self.next = Some(now);
    }

    /// A scan begins, if it is time for one.
    pub(super) fn begin_scan(&mut self, now: Instant) -> bool {
        if self.next_scan().is_none_or(|next| now < next) {
            return false;
        }
        self.scans += 1;
        self.unseen = self.rows.len();
        let forced = std::mem::replace(&mut self.asked, Asked::No) == Asked::Forced;
        let begun = self.begin_read();
        self.scan = Some(Scan {
            begun,
            clean: true,
            forced,
        });
        self.next = None;
        true
    }

    /// A row is there, says the present scan.
    pub(super) fn scanned(&mut self, key: &K, value: V, service: Service) -> Do<V> {
        match self.scan {
            Some(scan) => self.take(key, value, service, (scan.begun, Source::Scan)),
            None => Do::Nothing,
        }
    }

    /// A row is there, says a look for its key or a scan that began then.
    pub(super) fn row(&mut self, key: &K, value: V, service: Service, begun: Begun) -> Do<V> {
        self.take(key, value, service, (begun, Source::Look))
    }

    fn take(
        &mut self,
        key: &K,
        value: V,
        service: Service,
        (begun, source): (Begun, Source),
    ) -> Do<V> {
        let scans = self.scans;
        self.clock += 1;
        let clock = self.clock;
        let Some(known) = self.rows.value_mut(key) else {
            return match service {
                Service::None => {
                    self.keep(key, value.clone(), source);
                    Do::Start(value)
                }
                // Of one that was stopped: it is looked at again with the next scan.
                Service::Leaving => Do::Nothing,
                Service::Kept | Service::HeldDown | Service::Ended | Service::Gone => Do::Refuse,
            };
        };
        known.see(scans, &mut self.unseen);
        // Compared once: a value may be long.
        let other = known.value != value;
        if known.is_shown_again(source, scans) && other {
            known.doubt = Doubt::Yes;
        }
        let doubtful = source == Source::Scan && known.doubt == Doubt::Yes;
        if other && (doubtful || Begun(known.touched) > begun) {
            return Do::Look;
        }
        known.touched = clock;
        let added_again =
            std::mem::replace(&mut known.presence, Presence::There) == Presence::Missing;
        let changed = other || known.made == Made::No;
        if changed {
            known.take_over(&value);
        }
        match service {
            Service::None => Do::Start(value),
            Service::Ended if changed => Do::Reset(Some(value)),
            Service::Ended if added_again => Do::Reset(None),
            Service::Gone if changed || added_again => Do::Replace,
            Service::HeldDown if changed => Do::Renew(value),
            Service::Kept if changed => match self.rules.on_changed {
                OnChanged::Restart => Do::Restart(value),
                OnChanged::Keep => Do::Renew(value),
            },
            Service::Leaving
            | Service::Kept
            | Service::HeldDown
            | Service::Ended
            | Service::Gone => Do::Nothing,
        }
    }

    /// A service was added for this row.
    pub(super) fn note(&mut self, key: &K, value: V) {
        self.keep(key, value, Source::Look);
    }

    fn keep(&mut self, key: &K, value: V, source: Source) {
        self.clock += 1;
        let known = Known {
            value,
            seen: self.scans,
            shown: match source {
                Source::Scan => self.scans,
                Source::Look => 0,
            },
            touched: self.clock,
            doubt: Doubt::No,
            presence: Presence::There,
            made: Made::Yes,
            missed: 0,
            missed_again: false,
        };
        self.forget(key);
        self.rows.insert(key.clone(), known);
    }

    /// No service could be made of the latest value of a row: to be tried again when it is read the next time.
    pub(super) fn not_made(&mut self, key: &K) {
        if let Some(known) = self.rows.value_mut(key) {
            known.made = Made::No;
        }
    }

    /// One row could not be read by a scan, of this key if that is known. That is no reason to stop anything.
    pub(super) fn bad_row(&mut self, key: Option<&K>) {
        match key.map(|key| self.rows.value_mut(key)) {
            Some(Some(known)) => known.see(self.scans, &mut self.unseen),
            Some(None) => {}
            // It may be any of them.
            None => {
                if let Some(scan) = &mut self.scan {
                    scan.clean = false;
                }
            }
        }
    }

    /// The rows could not be read, or not all of them. Returns whether that is news.
    pub(super) fn scan_failed(&mut self, now: Instant) -> bool {
        self.scan = None;
        let (since, tries) = self.unreachable.unwrap_or((now, 0));
        let tries = tries.saturating_add(1);
        self.unreachable = Some((since, tries));
        // No jitter: there is one supervisor for a table.
        let delay = self
            .rules
            .retry
            .delay(tries, 0.0)
            .min(self.rules.rescan_every);
        self.next = match self.asked {
            // Asked for while this one went on: by somebody who waits for it.
            Asked::Forced => Some(now),
            Asked::No | Asked::Changed => now.checked_add(delay),
        };
        tries == 1
    }

    /// All rows were read, but for those that could not be. Without an answer the rows that were missed are still to be found, by
    /// [`sweep`](Self::sweep).
    pub(super) fn scan_ended(&mut self, now: Instant) -> Option<Ended<K>> {
        let recovered = self.unreachable.take().map(|(since, _)| since);
        let done = Ended {
            suspects: Vec::new(),
            refused: None,
            recovered,
        };
        let Some(scan) = self.scan.take() else {
            return Some(done);
        };
        self.set_next(now, self.rules.rescan_every);
        if !scan.clean {
            return Some(done);
        }
        if self.unseen == 0 {
            self.refused = None;
            return Some(done);
        }
        self.sweep = Some(Sweep {
            forced: scan.forced,
            recovered,
            place: 0,
            places: self.rows.places(),
            missing: 0,
            again: 0,
            keys: Each::default(),
        });
        None
    }

    /// Looks at some more places, `most` of them, for rows that the scan has missed. Says what follows from it once all were looked at.
    pub(super) fn sweep(&mut self, most: usize, now: Instant) -> Option<Ended<K>> {
        let sweep = self.sweep.as_mut()?;
        // Rows have moved: what was found is marked, and not found again.
        if sweep.places != self.rows.places() {
            (sweep.place, sweep.places) = (0, self.rows.places());
        }
        let end = sweep.places.min(sweep.place.saturating_add(most));
        let before = self.refused.map(|refused| refused.scan);
        for place in sweep.place..end {
            let Some((key, known)) = self.rows.at(place) else {
                continue;
            };
            if known.seen >= self.scans || known.missed == self.scans {
                continue;
            }
            // One that cannot be copied cannot be asked for by its key, and is not stopped.
            let Some(key) = quietly(|| key.clone()) else {
                continue;
            };
            known.missed_again = Some(known.missed) == before;
            known.missed = self.scans;
            known.presence = Presence::Missing;
            sweep.missing += 1;
            sweep.again += usize::from(known.missed_again);
            sweep.keys.push(key);
        }
        sweep.place = end;
        if end < sweep.places {
            return None;
        }
        let sweep = self.sweep.take()?;
        Some(self.swept(sweep, now))
    }

    fn swept(&mut self, mut sweep: Sweep<K>, now: Instant) -> Ended<K> {
        let mut ended = Ended {
            suspects: Vec::new(),
            refused: None,
            recovered: sweep.recovered,
        };
        // From the end of all that belongs to the scan.
        self.set_next(now, self.rules.rescan_every);
        if self.rules.on_vanished == OnVanished::Keep {
            return ended;
        }
        let missing = sweep.missing;
        let most = self.rules.max_vanish;
        let most = most.unwrap_or_else(|| FEW.max(self.rows.len() / 2));
        let before = self.refused.map(|refused| refused.missing);
        let same = before == Some(missing) && sweep.again == missing;
        if missing <= most || sweep.forced || same {
            self.refused = None;
            ended.suspects = sweep.keys.take();
        } else {
            ended.refused = Some((missing, self.rows.len()));
            self.refused = Some(Refused {
                scan: self.scans,
                missing,
            });
        }
        ended
    }

    /// Sets when the next scan begins, unless somebody wants it now.
    fn set_next(&mut self, now: Instant, delay: Duration) {
        self.next = match self.asked {
            Asked::No => now.checked_add(delay),
            Asked::Changed | Asked::Forced => Some(now),
        };
    }

    /// A row is not there, says a look for its key after a scan that had missed it. Returns whether its service is to be removed.
    pub(super) fn vanished(&mut self, key: &K, begun: Begun) -> bool {
        let known = self.rows.get(key);
        // Not one that was shown, or added again, by what came meanwhile.
        let gone = known.is_some_and(|known| {
            known.presence == Presence::Missing && Begun(known.touched) < begun
        });
        if gone {
            self.forget(key);
        }
        gone
    }

    /// A row is not there, says a look for its key: all rows are read before anything is stopped for that.
    pub(super) fn missed(&mut self, key: &K, begun: Begun, now: Instant) {
        if let Some(known) = self.rows.value_mut(key)
            && Begun(known.touched) < begun
        {
            known.presence = Presence::Missing;
            self.look_again(now);
        }
    }

    /// The row of a service that is about to be started again. Returns the value that it is to have, if that is another one.
    pub(super) fn revived(&mut self, key: &K, value: V) -> Option<V> {
        self.clock += 1;
        let known = self.rows.value_mut(key)?;
        known.presence = Presence::There;
        known.touched = self.clock;
        let changed = known.made == Made::No || known.value != value;
        changed.then(|| {
            known.take_over(&value);
            value
        })
    }

    /// The row of a service that is about to be started again is not there. What is known of it is forgotten with the service; if that goes
    /// on all the same, because of a request, the next scan misses the row.
    pub(super) fn not_revived(&mut self, key: &K) {
        if let Some(known) = self.rows.value_mut(key) {
            known.presence = Presence::Missing;
        }
    }

    /// The number of the latest scan.
    pub(super) const fn latest_scan(&self) -> u64 {
        self.scans
    }

    /// When the present scan began.
    pub(super) fn scan_begun(&self) -> Option<Begun> {
        self.scan.map(|scan| scan.begun)
    }

    /// The service of a row is gone, or is to be. If the row is still there, the next scan starts another one.
    pub(super) fn forget(&mut self, key: &K) {
        let Some(known) = self.rows.remove(key) else {
            return;
        };
        if known.seen < self.scans {
            self.unseen -= 1;
        }
        let now_missed = known.missed == self.scans;
        if let Some(sweep) = &mut self.sweep
            && now_missed
        {
            sweep.missing -= 1;
            sweep.again -= usize::from(known.missed_again);
        }
        if let Some(refused) = &mut self.refused
            && (known.missed == refused.scan || now_missed && known.missed_again)
        {
            refused.missing -= 1;
        }
    }

    /// Reports whether as many rows were not shown by the latest scan as are counted.
    #[cfg(test)]
    pub(super) fn counts_right(&self) -> bool {
        let unseen = self.rows.iter();
        let unseen = unseen.filter(|(_, known)| known.seen < self.scans);
        unseen.count() == self.unseen
    }
}

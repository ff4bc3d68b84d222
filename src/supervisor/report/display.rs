//! How a report prints: as a tree, in a terminal of 100 columns.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::{
    picture::{Report, ServiceReport, Walk},
    text::{fitted, said, width, without_modules, wrapped},
};
use crate::{
    event::Blocked,
    policy::printable,
    service::{ReportedKind, ReportedPlacement},
};

impl fmt::Display for Report {
    /// An indented tree: a line for each service, with more below it of one that has failed or has much to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widest = width(self.path());
        let mut walk = Walk::of(self);
        while let Some((service, depth)) = walk.next_with(<[_]>::len) {
            widest = widest.max(Branch::width(depth) + width(service.name()));
        }
        let names = widest.min(WIDEST_NAMES);
        let line = Line {
            name: fitted(self.path(), names),
            state: self.state().to_string(),
            facts: facts_of_supervisor(self),
            rest: None,
        };
        let below = if self.services().is_empty() {
            ""
        } else {
            "│"
        };
        line.write(f, "", below, names)?;
        let mut walk = Walk::of(self);
        while let Some((service, branch)) = walk.next_with(Branch::of) {
            writeln!(f)?;
            let room = names.saturating_sub(width(&branch.first));
            let line = Line {
                name: fitted(service.name(), room),
                state: service.state().to_string(),
                facts: facts_of(service),
                rest: last_exit(service),
            };
            let has_below = service
                .supervisor()
                .is_some_and(|report| !report.services().is_empty());
            let down = if has_below && !branch.is_cut {
                "│"
            } else {
                ""
            };
            let below = format!("{}{down}", branch.below);
            line.write(f, &branch.first, &below, names)?;
        }
        Ok(())
    }
}

impl fmt::Display for ServiceReport {
    /// One line, without what is below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.state())?;
        for fact in facts_of(self).into_iter().chain(last_exit(self)) {
            write!(f, ", {fact}")?;
        }
        Ok(())
    }
}

/// What stands for one service, or for the supervisor itself.
struct Line {
    name: String,
    state: String,
    facts: Vec<String>,
    /// What stands in lines of its own, unless it is short.
    rest: Option<String>,
}

impl Line {
    /// Writes it, with `first` in front of its name, and `below` in front of whatever does not fit into one line.
    fn write(
        self,
        f: &mut fmt::Formatter<'_>,
        first: &str,
        below: &str,
        names: usize,
    ) -> fmt::Result {
        let used = width(first) + width(&self.name);
        write!(f, "{first}{}", self.name)?;
        let column = names + GAP + STATES + GAP;
        let mut lines = joined(self.facts, COLUMNS - column);
        match (self.rest, lines.last_mut()) {
            (None, _) => {}
            (Some(rest), Some(line)) if width(line) + 2 + width(&rest) <= COLUMNS - column => {
                line.push_str(", ");
                line.push_str(&rest);
            }
            (Some(rest), _) => lines.extend(wrapped(&rest, COLUMNS - column, MOST_LINES)),
        }
        let mut lines = lines.into_iter();
        let gap = names.saturating_sub(used) + GAP;
        match lines.next() {
            Some(facts) => {
                let state = &self.state;
                write!(f, "{:gap$}{state:STATES$}{:GAP$}{facts}", "", "")?;
            }
            None => write!(f, "{:gap$}{}", "", self.state)?,
        }
        for line in lines {
            let gap = column.saturating_sub(width(below));
            write!(f, "\n{below}{:gap$}{line}", "")?;
        }
        Ok(())
    }
}

/// The lines of the tree in front of a service.
struct Branch {
    first: String,
    /// In front of whatever stands below its first line.
    below: String,
    /// Whether the tree is too deep to be drawn: then a number says how deep.
    is_cut: bool,
}

impl Branch {
    /// Of a service, by what is left of the levels from the top down to its own.
    fn of(levels: &[std::slice::Iter<'_, ServiceReport>]) -> Self {
        let depth = levels.len();
        if depth > DRAWN {
            let room = Self::width(depth);
            let said = format!("⋮{depth}");
            return Self {
                first: format!("{said:<room$}"),
                below: String::from("⋮"),
                is_cut: true,
            };
        }
        let has_more = |level: &std::slice::Iter<'_, ServiceReport>| !level.as_slice().is_empty();
        let (own, above) = levels
            .split_last()
            .map_or((false, levels), |(own, above)| (has_more(own), above));
        let above = above.iter();
        let mut first: String = above
            .map(|level| if has_more(level) { "│  " } else { "   " })
            .collect();
        let mut below = first.clone();
        first.push_str(if own { "├─ " } else { "└─ " });
        below.push_str(if own { "│  " } else { "   " });
        Self {
            first,
            below,
            is_cut: false,
        }
    }

    /// How many columns stand in front of a name that is so many levels down.
    fn width(depth: usize) -> usize {
        3 * depth.min(DRAWN)
    }
}

/// What there is to say of a supervisor.
fn facts_of_supervisor(report: &Report) -> Vec<String> {
    let mut facts = vec![String::from(report.kind().name())];
    facts.extend(numbers(report));
    facts.extend(report.age().map(silence));
    facts
}

/// What there is to say of a service, and of the supervisor that it is.
fn facts_of(service: &ServiceReport) -> Vec<String> {
    let mut facts = vec![match service.kind() {
        ReportedKind::Actor => fitted(&without_modules(service.type_name()), WIDEST_TYPE),
        kind => String::from(kind.name()),
    }];
    match service.placement() {
        ReportedPlacement::Inherit => {}
        ReportedPlacement::Dedicated => facts.push(String::from("own thread")),
        other => facts.push(String::from(other.name())),
    }
    if let Some(uptime) = service.uptime() {
        facts.push(format!("up {}", said(uptime)));
    } else if let Some(since) = service.since() {
        let down = service.at().duration_since(since).unwrap_or_default();
        facts.push(format!("for {}", said(down)));
    }
    match service.restarts() {
        0 => {}
        1 => facts.push(String::from("1 restart")),
        restarts => facts.push(format!("{restarts} restarts")),
    }
    // What a supervisor is asked says nothing of its work.
    if service.handled() > 0 && !service.kind().is_supervisor() {
        facts.push(format!("{} handled", service.handled()));
    }
    if let Some(count) = service.failure_count() {
        facts.extend(failures(count, service.limit()));
    }
    facts.extend(service.supervisor().into_iter().flat_map(numbers));
    if let Some(next) = service.next_start() {
        facts.push(format!("starts in {}", until(next, service.at())));
    }
    if let Some(on) = service.waits_for() {
        let why = service.blocked().map(|why| match why {
            Blocked::Delayed { after } => format!(", which starts again in {}", said(after)),
            other => format!(", which {other}"),
        });
        let why = why.unwrap_or_default();
        facts.push(format!("waits for `{}`{why}", printable(on)));
    }
    match (service.age(), service.supervisor()) {
        // Its own supervisor is the one that does not answer, whose line says so.
        (None, Some(report)) => facts.extend(report.age().map(silence)),
        (Some(_), Some(report)) if report.age() != service.age() => {
            facts.extend(report.age().map(silence));
        }
        _ => {}
    }
    facts
}

/// What a supervisor counts, as far as it is worth a word.
fn numbers(report: &Report) -> Vec<String> {
    let mut facts = Vec::new();
    facts.extend(failures(report.failure_count(), report.limit()));
    if let Some(until_then) = report.paused_until() {
        let left = until(until_then, report.at());
        facts.push(format!("restarts paused for {left}"));
    }
    if let Some(unreachable) = report.table_unreachable() {
        facts.push(format!("table unreachable for {}", said(unreachable)));
    }
    facts
}

fn failures(count: f64, limit: Option<f64>) -> Option<String> {
    // Not what is not known either.
    let worth_it = count >= LEAST_COUNT;
    let of = limit
        .map(|limit| format!(" of {limit}"))
        .unwrap_or_default();
    worth_it.then(|| format!("failures {count:.2}{of}"))
}

fn silence(age: Duration) -> String {
    format!("does not answer, seen {} ago", said(age))
}

/// How long it is from one time to a later one.
fn until(then: SystemTime, now: SystemTime) -> String {
    said(then.duration_since(now).unwrap_or_default())
}

/// How it has ended, in one line: errors of users may have several, and whatever else a terminal would obey.
fn last_exit(service: &ServiceReport) -> Option<String> {
    let reason = service.last_exit()?;
    Some(format!("last exit: {}", printable(&format!("{reason:#}"))))
}

/// The facts in lines that fit, broken between two of them.
fn joined(facts: Vec<String>, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for fact in facts {
        match lines.last_mut() {
            // One column less, for the comma at the end of a line.
            Some(line) if width(line) + 2 + width(&fact) < most => {
                line.push_str(", ");
                line.push_str(&fact);
            }
            last => {
                if let Some(line) = last {
                    line.push(',');
                }
                lines.extend(wrapped(&fact, most.saturating_sub(1), MOST_LINES));
            }
        }
    }
    lines
}

/// How many columns the terminal has.
const COLUMNS: usize = 100;
/// How many of them names may take, with the tree in front of them.
const WIDEST_NAMES: usize = 40;
/// As many as the longest name of a state has.
const STATES: usize = 11;
const GAP: usize = 2;
/// How many levels are drawn.
const DRAWN: usize = 8;
const WIDEST_TYPE: usize = 24;
/// How many lines a text of the user's may take.
const MOST_LINES: usize = 4;
/// What would print as zero is not told.
const LEAST_COUNT: f64 = 0.005;

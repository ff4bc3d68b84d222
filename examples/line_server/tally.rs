//! What became of the lines.

use std::{collections::BTreeSet, fmt, process::ExitCode};

use crate::drive::{Report, Shape};

/// How many lines met which fate.
#[derive(Default)]
pub(crate) struct Tally {
    sent: usize,
    refused: usize,
    lost: usize,
    /// For each line that was answered, which incarnation has taken it, and as which of its lines.
    places: BTreeSet<(u64, u64)>,
    /// What should not have happened.
    wrong: Vec<String>,
}

impl Tally {
    /// Takes down what one client has sent, and what it was answered: in the same order, each with its number.
    pub(crate) fn check(&mut self, reports: &[Report], answers: &[String]) {
        self.sent += reports.len();
        if reports.len() != answers.len() {
            let (sent, got) = (reports.len(), answers.len());
            self.wrong.push(format!("{got} answers to {sent} lines"));
        }
        for (number, (report, answer)) in (1_usize..).zip(reports.iter().zip(answers)) {
            let words: Vec<&str> = answer.split(' ').collect();
            let id = report.0.to_string();
            match (report.shape(), &words[..]) {
                (_, [first, ..]) if *first != number.to_string() => self.wrong.push(answer.clone()),
                (Shape::Cut, [_, "refused", ..]) => self.refused += 1,
                (Shape::Empty, [_, "lost", ..]) => self.lost += 1,
                (Shape::WellFormed, [_, "ok", echo, incarnation, line, ..]) if *echo == id => {
                    let place = incarnation.parse().ok().zip(line.parse().ok());
                    // Two lines in one place: one of them was not counted, or the other one twice.
                    if !place.is_some_and(|place| self.places.insert(place)) {
                        self.wrong.push(answer.clone());
                    }
                }
                _ => self.wrong.push(answer.clone()),
            }
        }
    }

    /// Whether each line was answered as it should be and handled once; prints what went wrong.
    pub(crate) fn verdict(&self) -> ExitCode {
        for wrong in &self.wrong {
            eprintln!("wrong: {wrong}");
        }
        // Each place that somebody was told of has a line before it that somebody was told of: none was handled in vain.
        let gaps = self.places.iter().filter(|(incarnation, line)| {
            *line > 1 && !self.places.contains(&(*incarnation, line - 1))
        });
        if !self.wrong.is_empty() || gaps.count() > 0 {
            return ExitCode::FAILURE;
        }
        println!("every well-formed line was answered exactly once");
        ExitCode::SUCCESS
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lines sent            {:>6}", self.sent)?;
        writeln!(f, "  answered            {:>6}", self.places.len())?;
        writeln!(f, "  refused, not JSON   {:>6}", self.refused)?;
        write!(f, "  lost to a panic     {:>6}", self.lost)
    }
}

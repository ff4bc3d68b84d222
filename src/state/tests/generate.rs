//! Random rules, for random inputs.

use super::*;
use crate::policy::WhileDown;

/// Random numbers that are the same on each run.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // Xorshift, by Marsaglia.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(super) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        let bound = u64::try_from(choices.len()).unwrap();
        choices[usize::try_from(self.below(bound)).unwrap()].clone()
    }
}

/// The names that services are given.
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A limit over which restarts pause, if it can be exceeded.
fn random_limit(random: &mut Random) -> RestartLimit {
    match random.below(5) {
        0 => RestartLimit::unlimited(),
        1 => RestartLimit::window(2, seconds(3)),
        2 => RestartLimit::window(2, seconds(3))
            .pause(seconds(2))
            .max_pause(seconds(3)),
        3 => RestartLimit::decay(seconds(2), 1.5, seconds(3)).max_pause(seconds(5)),
        _ => RestartLimit::decay(seconds(30), 5.0, seconds(15)).jitter(0.5),
    }
}

pub(super) fn random_rules(random: &mut Random) -> SupervisorRules {
    let limit = if random.chance(12) {
        RestartLimit::window(2, seconds(3)).escalate()
    } else {
        random_limit(random)
    };
    let rules = SupervisorRules {
        strategy: random.pick(&[
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ]),
        limit,
        each_service: if random.chance(6) {
            DefaultRules {
                backoff: Some(Backoff::constant(seconds(1))),
                limit: Some(RestartLimit::window(1, seconds(4))),
                shutdown: Some(Shutdown::Timeout(seconds(3))),
                start_timeout: Some(seconds(9)),
            }
        } else {
            DefaultRules::default()
        },
        start_order: random.pick(&[StartOrder::Sequential, StartOrder::Parallel]),
        shutdown_timeout: seconds(2),
        resume_spacing: random.pick(&[Duration::ZERO, millis(700)]),
        auto_shutdown: if random.chance(10) {
            AutoShutdown::AllSignificant
        } else {
            AutoShutdown::Never
        },
        binding: if random.chance(6) {
            Binding::Bound
        } else {
            Binding::Loose
        },
        ..SupervisorRules::default()
    };
    accepted(rules)
}

/// Without what would be refused by a supervisor that is reconfigured.
fn accepted(mut rules: SupervisorRules) -> SupervisorRules {
    if !rules.limit.pauses() {
        rules.resume_spacing = Duration::ZERO;
    }
    rules
}

pub(super) fn random_service(random: &mut Random) -> ServiceRules {
    let mut rules = named(random.pick(&NAMES));
    rules.restart = random.pick(&[
        RestartType::Permanent,
        RestartType::Permanent,
        RestartType::Transient,
        RestartType::Temporary,
    ]);
    rules.shutdown = random.pick(&[
        None,
        Some(Shutdown::BrutalKill),
        Some(Shutdown::Timeout(millis(500))),
        Some(Shutdown::Timeout(Duration::ZERO)),
    ]);
    if random.chance(3) {
        rules.rare().start_timeout = Some(seconds(2));
    }
    if random.chance(3) {
        rules.rare().backoff = Some(Backoff::exponential(millis(300), seconds(4)).jitter(0.1));
    }
    if random.chance(5) {
        let on_limit = random.pick(&[OnLimit::GiveUp, OnLimit::Pause, OnLimit::Pause]);
        rules.rare().limit = Some(over(RestartLimit::window(1, seconds(4)), on_limit));
    }
    for _ in 0..random.below(3) {
        rules.rare().requires.push(Arc::from(random.pick(&NAMES)));
    }
    for _ in 0..random.below(2) {
        rules.rare().binds_to.push(Arc::from(random.pick(&NAMES)));
    }
    if random.chance(4) {
        rules.rare().requires.push(Arc::from("root/x/y"));
    }
    if random.chance(5) {
        let completed = &mut rules.rare().requires_completed;
        completed.push(Arc::from(random.pick(&NAMES)));
    }
    if random.chance(4) {
        rules.significance = Significance::Significant;
    }
    set_while_down(&mut rules);
    // By the name, too.
    rules.rare().consults = matches!(&*rules.name, "c" | "f");
    if random.chance(12) {
        let directive = random.pick(&[
            Directive::Restart,
            Directive::RestartAfter(millis(600)),
            Directive::Stop,
            Directive::Escalate,
            Directive::Fatal,
        ]);
        rules.rare().decide = Some(Decide(Arc::new(move |_| directive)));
    }
    rules
}

/// Rules under which a supervisor hardly ever ends by itself, so that there is time for much to happen.
pub(super) fn lasting_rules(random: &mut Random) -> SupervisorRules {
    accepted(SupervisorRules {
        limit: random_limit(random),
        auto_shutdown: AutoShutdown::Never,
        binding: Binding::Loose,
        ..random_rules(random)
    })
}

/// A service that requires others, mostly such that come before it in the alphabet, and has a delay.
pub(super) fn entangled_service(random: &mut Random) -> ServiceRules {
    let own = random.below(6);
    let mut rules = named(NAMES[usize::try_from(own).unwrap()]);
    rules.restart = random.pick(&[
        RestartType::Permanent,
        RestartType::Permanent,
        RestartType::Permanent,
        RestartType::Transient,
        RestartType::Temporary,
    ]);
    if random.chance(2) {
        rules.rare().backoff = Some(Backoff::constant(seconds(3)));
    }
    if random.chance(4) {
        rules.rare().start_timeout = Some(seconds(2));
    }
    if random.chance(6) {
        let on_limit = random.pick(&[OnLimit::GiveUp, OnLimit::Pause]);
        rules.rare().limit = Some(over(RestartLimit::window(1, seconds(4)), on_limit));
    }
    for _ in 0..=random.below(2) {
        let below = if random.chance(10) { 6 } else { own.max(1) };
        let name = NAMES[usize::try_from(random.below(below)).unwrap()];
        if name != &*rules.name {
            let how = random.below(8);
            let rare = rules.rare();
            let list = match how {
                0 | 1 => &mut rare.binds_to,
                2 => &mut rare.requires_completed,
                _ => &mut rare.requires,
            };
            list.push(Arc::from(name));
        }
    }
    set_while_down(&mut rules);
    rules.rare().consults = &*rules.name == "d";
    rules
}

/// By the name, and so without a random number: other rules are what they were without this.
fn set_while_down(rules: &mut ServiceRules) {
    rules.rare().while_down = match &*rules.name {
        "a" | "c" | "d" => WhileDown::Refuse,
        "b" => WhileDown::Queue,
        _ => WhileDown::RefuseWhenEnded,
    };
}

//! Holds the structure of the sources: no circles of imports, no file that is too long, nothing that acts in what decides, public
//! variants that may gain fields, and an `ARCHITECTURE.md` that names files that exist.
//!
//! Sources are read word by word, for all features and systems at once. Of a glob only the module is seen: clippy allows none outside of
//! tests.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

/// The one circle that is meant: a context and its incarnation.
const MEANT: [&str; 2] = ["service/hosted/context.rs", "service/hosted/incarnation.rs"];

/// Files that belong to no folder, and import what they like.
const ABOVE: [&str; 2] = ["lib.rs", "docs.rs"];

/// Files and folders that decide, and do not act.
const DECIDING: [&str; 4] = ["token.rs", "policy", "event", "state"];

/// Files that return what follows, and never call each other.
const PARTS: [&str; 5] = [
    "state/judge.rs",
    "state/start.rs",
    "state/stop.rs",
    "state/group.rs",
    "state/operations.rs",
];

/// Variants with named fields that users make with a literal.
const MADE_BY_USERS: [&str; 1] = ["Verdict::TerminateTree"];

const MOST_LINES: usize = 700;

/// How much of what one takes of another is told. The import that should not be is mostly one of few.
const MOST_TOLD: usize = 5;

#[test]
fn folders_import_each_other_in_no_circle() {
    assert_none(&Tree::read().between_folders().circles(&[]));
}

#[test]
fn files_of_a_folder_import_each_other_in_no_circle_but_one() {
    let imports = Tree::read().between_files();
    assert_none(&imports.circles(&MEANT));
    let [context, incarnation] = MEANT;
    let is_circle = imports.has(context, incarnation) && imports.has(incarnation, context);
    assert!(is_circle, "{MEANT:?} need no exception any more");
}

#[test]
fn parts_of_a_decision_do_not_import_each_other() {
    let imports = Tree::read().between_files();
    let mut problems = Vec::new();
    for from in PARTS {
        let others = PARTS.iter().filter(|of| imports.has(from, of));
        problems.extend(others.map(|of| format!("{from} imports {of}")));
    }
    assert_none(&problems);
}

#[test]
fn no_file_is_too_long() {
    let mut problems = Vec::new();
    for below in ["src", "examples"] {
        for (file, text) in files(below) {
            let lines = text.lines().count();
            if lines > MOST_LINES && !is_test(&file) {
                problems.push(format!("{below}/{file} has {lines} lines"));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut problems = Vec::new();
    for name in named_files(&text) {
        if !root().join("src").join(name).exists() && !root().join(name).exists() {
            problems.push(format!("ARCHITECTURE.md names `{name}`"));
        }
    }
    assert_none(&problems);
}

#[test]
fn what_decides_does_not_act() {
    let mut problems = Vec::new();
    for (file, text) in files("src") {
        if !DECIDING.contains(&folder(&file)) {
            continue;
        }
        let tokens = lex(&text);
        let (whole, code) = (
            Source::new(&file, &tokens),
            Source::new(&file, &without_tests(&tokens)),
        );
        let whole = whole.imports.iter().filter(|it| acts(&it.path));
        let code = code
            .imports
            .iter()
            .filter(|it| !is_test(&file) && acts_in_code(&it.path));
        let found = whole.chain(code);
        problems.extend(found.map(|import| format!("src/{file} has `{}`", import.path)));
    }
    assert_none(&problems);
}

#[test]
fn variants_with_named_fields_may_gain_more() {
    let mut problems = Vec::new();
    for (file, text) in files("src") {
        let tokens = lex(&text);
        let tokens = without_tests(&tokens);
        let closed =
            closed_variants(&tokens).filter(|variant| !MADE_BY_USERS.contains(&&**variant));
        problems.extend(closed.map(|variant| format!("{variant} in src/{file}")));
    }
    assert_none(&problems);
}

#[test]
fn closed_variants_are_found() {
    let sample = "
        pub(crate) enum Hidden { A { a: u8 } }
        #[non_exhaustive]
        pub enum E<T> where T: X {
            /// B { }
            A,
            #[error(\"{b}\")] B { b: T, c: [u8; { 1 }] },
            #[error(\"{d}\")]
            #[non_exhaustive]
            C { d: T },
            D(#[from] T, (u8, u8)),
            F { f: u8 }
        }
        macro_rules! m { ($name:ident) => { pub enum $name { A { a: u8 }, } }; }
    ";
    let found: Vec<_> = closed_variants(&lex(sample)).collect();
    assert_eq!(found, ["E::B", "E::F", "name::A"]);
}

#[test]
fn imports_are_found_in_uses_and_in_code_but_not_in_text_or_tests() {
    let sample = r##"
        use super::rules::Rules; // use super::one::One;
        #[cfg(feature = "process")]
        pub(in crate::x) use super::line::{self as row, Line};
        use self::{inner::{Inner as Renamed}};
        /* use super::two::Two; */
        /// As [`crate::three`] and `super::four::Four`.
        pub use crate::{
            // Why.
            event::Event,
        };
        fn code<'a>(_: &'a str) -> impl Sized + use<'a> {
            let text = "super::five \" super::six"; let c = ['"', '\'', '{', 'x'];
            let text = r#"super::seven" super::eight"#; Vec::<u8>::from(b"super::nine");
            crate::event::Blocked::Starting
        }
        mod inner {
            use super::Line;
            #[cfg(test)]
            #[expect(unused)]
            fn only_for_tests() { super::super::ten::f() }
            type Late = super::super::Late;
        }
        #[cfg(test)]
        mod tests { use super::eleven::*; mod more { use super::*; } }
        #[cfg(test)]
        use super::twelve;
    "##;
    let source = Source::new("x/sample.rs", &without_tests(&lex(sample)));
    let found = source.imports.iter();
    let found: Vec<_> = found
        .map(|it| format!("{} = {}", it.name, it.path))
        .collect();
    let expected = [
        "Rules = crate::x::rules::Rules",
        "row = crate::x::line",
        "Line = crate::x::line::Line",
        "Renamed = crate::x::sample::inner::Inner",
        "Event = crate::event::Event",
        "Vec = Vec",
        "Starting = crate::event::Blocked::Starting",
        "Line = crate::x::sample::Line",
        "Late = crate::x::Late",
    ];
    assert_eq!(found, expected);
}

#[test]
fn circles_are_found_through_what_a_folder_passes_on() {
    let mut tree = Tree::default();
    tree.add("lib.rs", "mod high; mod low; pub use crate::high::Top;");
    tree.add(
        "high/mod.rs",
        "mod a; mod b; pub use self::{a::A, b::deep::{B as Top}};",
    );
    tree.add("high/a.rs", "use super::{Top, A as _}; // use super::c::C;");
    tree.add("high/b/mod.rs", "pub(crate) mod deep;");
    tree.add("high/b/deep.rs", "fn f() { crate::high::A::new() }");
    tree.add(
        "high/c.rs",
        "#[cfg(test)] mod tests { use super::super::A; }",
    );
    tree.add("low.rs", "pub use crate::Top as Higher;");
    let expected = "a circle:\
        \n  high/a.rs takes `crate::high::Top` of high/b/deep.rs\
        \n  high/b/deep.rs takes `crate::high::A::new` of high/a.rs";
    assert_eq!(tree.between_files().circles(&[]), [expected]);
    let meant = ["high/a.rs", "high/b/deep.rs"];
    assert!(tree.between_files().circles(&meant).is_empty());
    assert!(tree.between_folders().circles(&[]).is_empty());

    tree.add("high/c.rs", "use crate::low::{Higher as Top};");
    let expected = "a circle:\
        \n  high takes `crate::low::Higher` (high/c.rs) of low.rs\
        \n  low.rs takes `crate::Top` (low.rs) of high";
    assert_eq!(tree.between_folders().circles(&[]), [expected]);

    // What code of the folder itself uses is imported, and not only passed on.
    assert!(!tree.between_files().has("high/mod.rs", "high/a.rs"));
    tree.add(
        "high/mod.rs",
        "mod a; mod b; pub use self::a::A; use b::deep; impl A {}",
    );
    assert!(tree.between_files().has("high/mod.rs", "high/a.rs"));
    assert!(tree.between_files().has("high/mod.rs", "high/b/deep.rs"));
}

/// The words and signs of a source, without comments and literals.
fn lex(mut text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    while !text.is_empty() {
        let (length, is_token) = piece(text);
        if is_token {
            tokens.push(&text[..length]);
        }
        text = &text[length..];
    }
    tokens
}

/// How long the first piece of a source is, and whether that is a token.
fn piece(text: &str) -> (usize, bool) {
    let to = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at);
    let word = text.find(|c| !is_of_word(c)).unwrap_or(text.len());
    let after = &text[word..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let is_char =
        after.starts_with("'\\") || after.starts_with('\'') && after.chars().nth(2) == Some('\'');
    match &text[..word] {
        "" if text.starts_with("//") => (to("\n", 0), false),
        "" if text.starts_with("/*") => (to("*/", 0) + 2, false),
        "" if text.starts_with("::") => (2, true),
        "" | "b" | "c" if after.starts_with('"') || is_char => (word + quoted(after), false),
        "r" | "br" | "cr" if after[hashes..].starts_with('"') => {
            let end = format!("\"{}", "#".repeat(hashes));
            (to(&end, word + hashes + 1) + end.len(), false)
        }
        "" => {
            let sign = text.chars().next().unwrap();
            (sign.len_utf8(), !sign.is_whitespace())
        }
        _ => (word, true),
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a literal in quotes.
fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = !is_escaped && text.starts_with(*c);
        is_escaped = !is_escaped && *c == '\\';
        is_end
    });
    end.unwrap().0 + 1
}

/// Leaves out each item and statement that only tests have.
fn without_tests<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let (mut kept, mut rest) = (Vec::new(), tokens);
    while let Some((first, others)) = rest.split_first() {
        if !rest.starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            kept.push(*first);
            rest = others;
            continue;
        }
        let mut depth = 0;
        let end = rest.iter().position(|token| {
            match *token {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            depth <= 0 && matches!(*token, ";" | "}")
        });
        rest = &rest[end.unwrap() + 1..];
    }
    kept
}

/// A path that a source has.
struct Import {
    /// From `crate`, unless it is a path of another crate or of a module below.
    path: String,
    /// What the source calls it.
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Inline,
    Use,
    PublicUse,
}

/// A file of `src`.
struct Source {
    file: String,
    module: String,
    imports: Vec<Import>,
    /// What else it speaks of.
    words: BTreeSet<String>,
}

impl Source {
    fn new(file: &str, tokens: &[&str]) -> Self {
        let mut module = vec!["crate"];
        let parts = file.trim_end_matches(".rs").split('/');
        module.extend(parts.filter(|part| !matches!(*part, "mod" | "lib")));
        let mut source = Self {
            file: file.to_owned(),
            module: module.join("::"),
            imports: Vec::new(),
            words: BTreeSet::new(),
        };
        // The depths of the modules that begin and end in the file.
        let (mut depth, mut depths) = (0, Vec::new());
        let mut rest = tokens;
        while let Some((token, after)) = rest.split_first() {
            let before = &tokens[..tokens.len() - rest.len()];
            rest = after;
            match (*token, after) {
                ("{", _) => depth += 1,
                ("}", _) => {
                    depth -= 1;
                    if depths.pop_if(|of| *of == depth).is_some() {
                        module.pop();
                    }
                }
                ("mod", [name, "{", ..]) => {
                    module.push(name);
                    depths.push(depth);
                    rest = &after[1..];
                }
                ("mod", [_, ";", ..]) => rest = &after[1..],
                ("use", [next, ..]) if *next != "<" => {
                    let kind = match before.last() {
                        Some(&("pub" | ")")) => Kind::PublicUse,
                        _ => Kind::Use,
                    };
                    rest = source.take(&module, &[], after, kind);
                }
                (word, ["::", ..]) if word.starts_with(is_of_word) => {
                    // `pub(in crate::state)` imports nothing.
                    if !before.ends_with(&["(", "in"]) {
                        source.words.insert(word.to_owned());
                        let path = &tokens[before.len()..];
                        rest = source.take(&module, &[], path, Kind::Inline);
                    }
                }
                (word, _) => {
                    source.words.insert(word.to_owned());
                }
            }
        }
        source
    }

    /// Takes the path that `tokens` begin with, or each of those in its braces, and returns what follows.
    fn take<'t, 'a>(
        &mut self,
        module: &[&str],
        outer: &[&'a str],
        mut tokens: &'t [&'a str],
        kind: Kind,
    ) -> &'t [&'a str] {
        let mut path = outer.to_vec();
        while let [token, after @ ..] = tokens {
            tokens = after;
            match (*token, after) {
                ("::", _) => {}
                ("{", _) => {
                    while !tokens.starts_with(&["}"]) {
                        tokens = self.take(module, &path, tokens, kind);
                        tokens = tokens.strip_prefix(&[","]).unwrap_or(tokens);
                    }
                    return &tokens[1..];
                }
                // Of `Vec::<u8>::new`, the first word is enough.
                (word, ["::", next, ..]) if *next != "<" => path.push(word),
                (word, _) => {
                    if word != "self" || path.is_empty() {
                        path.push(word);
                    }
                    let mut name = path[path.len() - 1];
                    if let ("as", Kind::Use | Kind::PublicUse) = (after[0], kind) {
                        name = after[1];
                        tokens = &after[2..];
                    }
                    let (path, name) = (from_crate(module, &path), name.to_owned());
                    self.imports.push(Import { path, name, kind });
                    return tokens;
                }
            }
        }
        tokens
    }

    /// Reports whether `import`, which is at `path`, is a name from below that its own code does not use.
    fn only_passes_on(&self, import: &Import, path: &str) -> bool {
        self.file.ends_with("mod.rs")
            && import.kind == Kind::PublicUse
            && path.starts_with(&self.module)
            && !self.words.contains(&import.name)
    }
}

/// A path that stands in `module`, written from the root of the crate if it is one of ours.
fn from_crate(module: &[&str], path: &[&str]) -> String {
    let is_relative = |word: &&&str| matches!(**word, "crate" | "self" | "super");
    let relative = path.iter().take_while(is_relative).count();
    let up = path[..relative]
        .iter()
        .filter(|word| **word == "super")
        .count();
    let base = match path[0] {
        "crate" => &module[..1],
        _ if relative > 0 => &module[..module.len() - up],
        _ => &[],
    };
    [base, &path[relative..]].concat().join("::")
}

/// The folder of a file; one that is in none counts as one.
fn folder(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

fn is_test(file: &str) -> bool {
    let mut parts = file.trim_end_matches(".rs").split('/');
    parts.any(|part| part == "tests")
}

fn acts(path: &str) -> bool {
    let words: Vec<_> = path.split("::").collect();
    matches!(words[..], ["actix" | "actix_rt" | "tokio" | "tracing", ..])
        || matches!(words[..], ["std", "net" | "process" | "thread", ..])
        || words.contains(&"SystemTime")
}

/// As [`acts`], for what tests may do: their inputs have times, and they write down what they have found.
fn acts_in_code(path: &str) -> bool {
    path.starts_with("std::fs") || path.ends_with("Instant::now")
}

/// The sources by module, without tests.
#[derive(Default)]
struct Tree(BTreeMap<String, Source>);

impl Tree {
    fn read() -> Self {
        let mut tree = Self::default();
        for (file, text) in files("src") {
            if !is_test(&file) {
                tree.add(&file, &text);
            }
        }
        tree
    }

    fn add(&mut self, file: &str, text: &str) {
        let source = Source::new(file, &without_tests(&lex(text)));
        self.0.insert(source.module.clone(), source);
    }

    fn between_folders(&self) -> Imports {
        let mut imports = Imports::default();
        for (source, import, path) in self.imports() {
            for passed in self.follow(path) {
                let (from, to) = (folder(&source.file), folder(&passed.file));
                if !ABOVE.contains(&to) {
                    imports.add(from, to, format!("`{}` ({})", import.path, source.file));
                }
            }
        }
        imports
    }

    fn between_files(&self) -> Imports {
        let mut imports = Imports::default();
        for (source, import, path) in self.imports() {
            let only_passes_on = source.only_passes_on(import, &path);
            if let Some(of) = self.follow(path).last()
                && folder(&of.file) == folder(&source.file)
                && !only_passes_on
            {
                imports.add(&source.file, &of.file, format!("`{}`", import.path));
            }
        }
        imports
    }

    /// What the files import of each other, with the full paths.
    fn imports(&self) -> impl Iterator<Item = (&Source, &Import, String)> {
        let sources = self.0.values();
        let sources = sources.filter(|source| !ABOVE.contains(&&*source.file));
        sources.flat_map(move |source| {
            let full = move |import| Some((source, import, self.full_path(source, import)?));
            source.imports.iter().filter_map(full)
        })
    }

    fn full_path(&self, source: &Source, import: &Import) -> Option<String> {
        let first = import.path.split("::").next()?;
        if first == "crate" {
            return Some(import.path.clone());
        }
        let is_below = self.0.contains_key(&format!("{}::{first}", source.module));
        is_below.then(|| format!("{}::{}", source.module, import.path))
    }

    /// The files that a path leads to: those that pass the name on, and the one that has it.
    fn follow(&self, mut path: String) -> Vec<&Source> {
        let mut way = Vec::new();
        // A name may stand for two things, say a module and a function, which lead to each other.
        while way.len() < 8 {
            let mut module = path.as_str();
            while !self.0.contains_key(module) {
                let Some((outer, _)) = module.rsplit_once("::") else {
                    return way;
                };
                module = outer;
            }
            let source = &self.0[module];
            way.push(source);
            let rest = path[module.len()..].trim_start_matches("::");
            let (name, rest) = rest.split_once("::").unwrap_or((rest, ""));
            let mut uses = source.imports.iter().filter(|it| it.kind != Kind::Inline);
            let passed_on = uses.find(|import| import.name == name);
            let Some(next) = passed_on.and_then(|import| self.full_path(source, import)) else {
                return way;
            };
            path = format!("{next}::{rest}");
        }
        way
    }
}

/// Who takes what of whom.
#[derive(Default)]
struct Imports(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Imports {
    fn add(&mut self, from: &str, of: &str, what: String) {
        if from != of {
            let from = self.0.entry(from.to_owned()).or_default();
            from.entry(of.to_owned()).or_default().insert(what);
        }
    }

    fn has(&self, from: &str, of: &str) -> bool {
        self.0.get(from).is_some_and(|from| from.contains_key(of))
    }

    /// A shortest circle for each import that is part of one, but for the one that is meant.
    fn circles(&self, meant: &[&str]) -> Vec<String> {
        let mut circles = BTreeSet::new();
        for (from, of) in &self.0 {
            for mut circle in of.keys().filter_map(|of| self.way(of, from)) {
                let first = (0..circle.len()).min_by_key(|at| circle[*at]);
                circle.rotate_left(first.unwrap());
                circles.insert(circle);
            }
        }
        let circles = circles.iter().filter(|circle| *circle != meant);
        circles.map(|circle| self.tell(circle)).collect()
    }

    /// A shortest way along imports.
    fn way<'a>(&'a self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut ways = VecDeque::from([vec![from]]);
        let mut seen = BTreeSet::from([from]);
        while let Some(way) = ways.pop_front() {
            let last = way[way.len() - 1];
            if last == to {
                return Some(way);
            }
            for next in self.0.get(last).into_iter().flat_map(BTreeMap::keys) {
                if seen.insert(next) {
                    ways.push_back([&way[..], &[next]].concat());
                }
            }
        }
        None
    }

    fn tell(&self, circle: &[&str]) -> String {
        let next = circle.iter().cycle().skip(1);
        let lines = circle.iter().zip(next).map(|(from, of)| {
            let what = &self.0[*from][*of];
            let told: Vec<_> = what.iter().take(MOST_TOLD).map(String::as_str).collect();
            let more = match what.len() - told.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("\n  {from} takes {}{more} of {of}", told.join(", "))
        });
        format!("a circle:{}", lines.collect::<String>())
    }
}

/// The variants of public enums whose fields have names and can never be more.
fn closed_variants<'a>(tokens: &'a [&str]) -> impl Iterator<Item = String> + 'a {
    let enums = tokens.windows(2).enumerate();
    let enums = enums.filter(|(_, words)| **words == ["pub", "enum"]);
    enums.flat_map(|(at, _)| {
        let rest = &tokens[at + 2..];
        let name = rest.iter().find(|word| **word != "$").unwrap();
        let body = rest.iter().position(|word| *word == "{").unwrap() + 1;
        let (mut depth, mut last, mut is_open) = (0, "", false);
        let mut closed = Vec::new();
        for word in &rest[body..] {
            match *word {
                "{" if depth == 0 && !is_open => closed.push(format!("{name}::{last}")),
                "non_exhaustive" => is_open = true,
                "," if depth == 0 => is_open = false,
                _ => {}
            }
            match *word {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" if depth == 0 => break,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            last = word;
        }
        closed
    })
}

/// The files and folders that a document has between backticks.
fn named_files(text: &str) -> BTreeSet<&str> {
    const BESIDE: [&str; 5] = [".ci", "benches", "crates", "examples", "tests"];
    let outside_of_blocks = text.split("```").step_by(2);
    let paragraphs = outside_of_blocks.flat_map(|text| text.split("\n\n"));
    let names = paragraphs.flat_map(|text| text.split('`').skip(1).step_by(2));
    names
        .filter(|name| {
            let is_path = !name.contains(|c: char| c.is_whitespace() || ":()<>".contains(c));
            let (folder, ending) = (folder(name), Path::new(name).extension());
            let is_below = name.contains('/')
                && (BESIDE.contains(&folder) || root().join("src").join(folder).is_dir());
            is_path && (is_below || ending.is_some_and(|it| it == "rs" || it == "md"))
        })
        .collect()
}

/// The Rust files below a folder, with their names from there, and their texts.
fn files(below: &str) -> Vec<(String, String)> {
    let below = root().join(below);
    let (mut files, mut folders) = (Vec::new(), vec![below.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&below).unwrap().to_str().unwrap();
                let name = name.replace('\\', "/");
                files.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    files
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

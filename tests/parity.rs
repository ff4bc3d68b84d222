//! Checks `tests/PARITY.md`: every row is there once, and what is said to hold it exists.
//!
//! Sources are read line by line, as rustfmt leaves them. The reference that the rows come from is not part of the repository; where it is
//! at hand, the numbers of rows are checked against it.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes only functions with #[test] for tests, and not what they call"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// With what the names of rows begin, and how they are numbered.
const FAMILIES: [(&str, RangeInclusive<u32>); 17] = [
    ("A", 1..=24),
    ("B", 1..=16),
    ("C", 1..=18),
    ("D", 1..=8),
    ("E", 1..=9),
    ("F", 1..=8),
    ("G", 1..=9),
    ("H", 1..=6),
    ("I", 1..=6),
    ("J", 1..=18),
    ("AMB", 1..=62),
    ("BEYOND", 1..=28),
    ("CAP", 1..=108),
    ("JUJU", 1..=95),
    ("PACT", 1..=76),
    ("SUP", 1..=68),
    ("SURVEY", 1..=74),
];

#[test]
fn every_row_is_there_once() {
    let mut problems = Vec::new();
    let mut lines = BTreeMap::new();
    for row in Document::read().rows {
        if let Some(before) = lines.insert(row.id.clone(), row.line) {
            let (id, line) = (row.id, row.line);
            problems.push(format!("row {id} is in line {before} and in line {line}"));
        }
    }
    let expected: BTreeSet<_> = FAMILIES
        .iter()
        .flat_map(|(family, numbers)| numbers.clone().map(|number| id_of(family, number)))
        .collect();
    for id in &expected {
        if !lines.contains_key(id) {
            problems.push(format!("row {id} is missing"));
        }
    }
    for (id, line) in &lines {
        if !expected.contains(id) {
            problems.push(format!("row {id} in line {line} is not in the reference"));
        }
    }
    assert_none(&problems);
}

#[test]
fn every_test_that_is_named_exists_and_is_run() {
    let document = Document::read();
    let mut sources = Sources::default();
    let mut problems = Vec::new();
    let held = |row: &&Row| row.section == Section::Held;
    for row in document.rows.iter().filter(held) {
        let place = format!("row {} in line {}", row.id, row.line);
        for name in names(row.last()) {
            sources.check(&name, &place, &mut problems);
        }
    }
    for (line, text) in &document.prose {
        let place = format!("the text in line {line}");
        for name in names(text).filter(|name| looks_like_a_test(name)) {
            sources.check(&name, &place, &mut problems);
        }
    }
    assert_none(&problems);
}

#[test]
fn every_row_is_held_by_something_or_says_why_it_is_not() {
    let rows = Document::read().rows;
    let held: BTreeSet<_> = rows
        .iter()
        .filter(|row| row.section == Section::Held && names(row.last()).next().is_some())
        .map(|row| row.id.as_str())
        .collect();
    let mut problems = Vec::new();
    for row in &rows {
        if let Err(problem) = row.check(&held) {
            problems.push(format!("row {} in line {} {problem}", row.id, row.line));
        }
    }
    assert_none(&problems);
}

#[test]
fn rows_are_those_of_the_reference_where_it_is_at_hand() {
    let reference = root().parent().unwrap().join("shared/reference");
    if !reference.is_dir() {
        return;
    }
    let mut problems = Vec::new();
    let mut found = BTreeMap::<String, BTreeSet<u32>>::new();
    for entry in fs::read_dir(&reference).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let file = path.file_name().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            for (family, number) in text.lines().filter_map(|line| reference_id(file, line)) {
                found.entry(family).or_default().insert(number);
            }
        }
    }
    for (family, numbers) in &FAMILIES {
        let expected: BTreeSet<u32> = numbers.clone().collect();
        let found = found.remove(*family).unwrap_or_default();
        for number in found.difference(&expected) {
            let id = id_of(family, *number);
            problems.push(format!("row {id} of the reference is not in `FAMILIES`"));
        }
        for number in expected.difference(&found) {
            let id = id_of(family, *number);
            problems.push(format!("row {id} of `FAMILIES` is not in the reference"));
        }
    }
    for family in found.keys() {
        problems.push(format!(
            "rows {family} of the reference are not in `FAMILIES`"
        ));
    }
    assert_none(&problems);
}

#[test]
fn only_functions_that_are_run_as_tests_are_taken_for_tests() {
    let source = Source::of(SAMPLE);
    let holds = |path: &str| source.has(path);
    assert!(holds("plain"));
    assert!(holds("async_and_documented"));
    assert!(holds("inner::nested"));
    assert!(holds("here::made") && holds("there::made"));
    for other in [
        "commented_out",
        "helper",
        "ignored",
        "made",
        "nested",
        "nowhere::made",
        "here::plain",
        "inner::made",
        "inner::plain",
    ] {
        assert!(!holds(other), "{other}");
    }
}

/// A source that has a bit of everything.
const SAMPLE: &str = r#"
#[test]
fn plain() {}

#[actix::test]
#[expect(
    clippy::panic,
    reason = "more lines than one"
)]
/// Documented.
async fn async_and_documented() {}

// #[test]
// fn commented_out() {}

#[cfg(test)]
fn helper() {}

#[test]
#[ignore = "takes an hour"]
fn ignored() {}

mod inner {
    #[test]
    fn nested() {}
}

macro_rules! everywhere {
    ($($place:ident)*) => {
        $(mod $place {
            everywhere!(@ made);
        })*
    };
    (@ $($test:ident)*) => {
        $(#[actix::test]
        async fn $test() {})*
    };
}

everywhere! { here there }
"#;

/// What `tests/PARITY.md` says.
#[derive(Default)]
struct Document {
    rows: Vec<Row>,
    /// The paragraphs outside of tables, each with its first line.
    prose: Vec<(usize, String)>,
}

/// One row of a table.
struct Row {
    id: String,
    line: usize,
    cells: Vec<String>,
    section: Section,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Section {
    /// Of rows that something holds.
    Held,
    /// Of rows that are not there.
    NotYet,
}

impl Document {
    fn read() -> Self {
        let text = fs::read_to_string(root().join("tests/PARITY.md")).unwrap();
        let mut document = Self::default();
        let mut section = Section::Held;
        let mut paragraph: Option<(usize, String)> = None;
        for (line, text) in (1..).zip(text.lines()) {
            if let Some(title) = text.strip_prefix("## ") {
                section = match title {
                    "Not yet" => Section::NotYet,
                    _ => Section::Held,
                };
            }
            if text.is_empty() || text.starts_with('|') {
                document.prose.extend(paragraph.take());
                document.rows.extend(Row::of(line, text, section));
            } else {
                let (_, paragraph) = paragraph.get_or_insert_with(|| (line, String::new()));
                paragraph.push_str(text);
                paragraph.push('\n');
            }
        }
        document.prose.extend(paragraph);
        document
    }
}

impl Row {
    /// The row in a line of a table, unless that is its head.
    fn of(line: usize, text: &str, section: Section) -> Option<Self> {
        let row = text.strip_prefix('|')?.strip_suffix('|')?;
        let mut cells = row.split('|').map(|cell| cell.trim().to_owned());
        let id = cells.next()?;
        split_id(&id)?;
        Some(Self {
            id,
            line,
            cells: cells.collect(),
            section,
        })
    }

    fn last(&self) -> &str {
        self.cells.last().map_or("", String::as_str)
    }

    /// Checks the shape of the row; `held` are those that name tests.
    fn check(&self, held: &BTreeSet<&str>) -> Result<(), String> {
        let (columns, last) = (self.cells.len() + 1, self.last());
        match self.section {
            Section::NotYet if columns != 3 => {
                return Err(format!(
                    "is not there yet, and has {columns} columns, not 3"
                ));
            }
            Section::NotYet => {
                let test = names(last).find(|name| looks_like_a_test(name));
                return match test {
                    Some(test) => Err(format!("is not there yet, and names the test {test}")),
                    None => Ok(()),
                };
            }
            Section::Held if columns != 4 => {
                return Err(format!("has {columns} columns, not 4"));
            }
            Section::Held => {}
        }
        if matches!(last, "Not applicable." | "Documented.") {
            return Ok(());
        }
        let rows = last
            .strip_prefix("Rows ")
            .or_else(|| last.strip_prefix("Row "));
        if let Some(rows) = rows.and_then(|rows| rows.strip_suffix('.')) {
            return match rows.split(", ").find(|row| !held.contains(row)) {
                Some(row) => Err(format!("is held by row {row}, which names no test")),
                None => Ok(()),
            };
        }
        let between = last.split('`').step_by(2);
        if names(last).next().is_none() || between.into_iter().any(|text| !is_separator(text)) {
            return Err(format!("is held by neither tests nor a reason: {last}"));
        }
        Ok(())
    }
}

fn is_separator(text: &str) -> bool {
    text.is_empty() || text == ", "
}

/// What a text has between backticks, with `…` resolved to the file of the name before.
fn names(text: &str) -> impl Iterator<Item = String> {
    let mut before = "";
    text.split('`').skip(1).step_by(2).map(move |name| {
        if let Some(path) = name.strip_prefix("…::") {
            return format!("{before}::{path}");
        }
        before = name.split("::").next().unwrap_or(name);
        name.to_owned()
    })
}

/// Reports whether something between backticks is the name of a test and not of anything else.
fn looks_like_a_test(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_/:".contains(c);
    name.contains("::") && name.chars().all(is_part)
}

/// The files that were read so far, by name.
#[derive(Default)]
struct Sources(BTreeMap<String, Option<Source>>);

impl Sources {
    /// Notes a problem unless `name` is a test that is run.
    fn check(&mut self, name: &str, place: &str, problems: &mut Vec<String>) {
        let Some((file, path)) = name.split_once("::") else {
            problems.push(format!("{place} names `{name}`, which has no file"));
            return;
        };
        let source = self
            .0
            .entry(file.to_owned())
            .or_insert_with(|| Source::find(file));
        match source {
            None => problems.push(format!(
                "{place} names `{name}`, and no such file is compiled"
            )),
            Some(source) if !source.has(path) => {
                problems.push(format!(
                    "{place} names `{name}`, and the file has no such test"
                ));
            }
            Some(_) => {}
        }
    }
}

/// The tests of a file.
#[derive(Default)]
struct Source {
    /// With the modules inside of the file before them.
    tests: BTreeSet<String>,
    /// The modules in other files, each with its path if that is said.
    modules: BTreeMap<String, Option<String>>,
    /// The words in the calls of each macro that makes tests.
    makers: Vec<BTreeSet<String>>,
}

impl Source {
    /// Reads the file that `name` stands for, if it is part of a test.
    fn find(name: &str) -> Option<Self> {
        if name.starts_with("src/") {
            return Self::read(&root().join(name).with_extension("rs"));
        }
        let tests = root().join("tests");
        let Some((folder, module)) = name.split_once('/') else {
            return Self::read(&tests.join(name).with_extension("rs"));
        };
        let folder = tests.join(folder);
        let main = Self::read(&folder.join("main.rs"))?;
        if module == "main" {
            return Some(main);
        }
        match main.modules.get(module)? {
            None => Self::read(&folder.join(module).with_extension("rs")),
            Some(path) => Self::read(&folder.join(path)),
        }
    }

    fn read(path: &Path) -> Option<Self> {
        Some(Self::of(&fs::read_to_string(path).ok()?))
    }

    fn of(text: &str) -> Self {
        let mut source = Self::default();
        // Those that the present line is in, each with its indentation.
        let mut inside: Vec<(&str, usize)> = Vec::new();
        let mut attributes = Vec::new();
        let mut in_attribute = false;
        for line in text.lines() {
            let code = line.trim_start();
            let indentation = line.len() - code.len();
            if in_attribute || code.starts_with("#[") {
                if !in_attribute {
                    attributes.push(code);
                }
                in_attribute = !code.ends_with(']');
                continue;
            }
            if code.is_empty() || code.starts_with("//") {
                continue;
            }
            if let Some(name) = word_after(code, "mod ") {
                if code.ends_with('{') {
                    inside.push((name, indentation));
                } else {
                    let path = attributes.iter().find_map(|line| path_of(line));
                    source.modules.insert(name.to_owned(), path);
                }
            } else if let Some(name) = word_after(code, "fn ")
                && makes_a_test(&attributes)
            {
                let modules = inside.iter().map(|(module, _)| *module);
                let path: Vec<_> = modules.chain([name]).collect();
                source.tests.insert(path.join("::"));
            }
            if code.starts_with('}') {
                inside.retain(|(_, opened)| *opened < indentation);
            }
            attributes.clear();
        }
        source.makers = makers(text);
        source
    }

    /// Reports whether a test has this name, or is made by a macro that was given all words of it.
    fn has(&self, path: &str) -> bool {
        let by_a_macro = |words: &BTreeSet<String>| {
            path.contains("::") && path.split("::").all(|word| words.contains(word))
        };
        self.tests.contains(path) || self.makers.iter().any(by_a_macro)
    }
}

fn makes_a_test(attributes: &[&str]) -> bool {
    let path = |line: &str| {
        let inner = line.trim_start_matches("#[");
        let end = inner.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        inner[..end.unwrap_or(inner.len())].to_owned()
    };
    let is = |what: &str| {
        let suffix = format!("::{what}");
        attributes
            .iter()
            .map(|line| path(line))
            .any(|path| path == what || path.ends_with(&suffix))
    };
    is("test") && !is("ignore")
}

/// The words that the macros of a file which make tests are called with, also by themselves.
fn makers(text: &str) -> Vec<BTreeSet<String>> {
    let mut makers = Vec::new();
    for definition in text.split("macro_rules! ").skip(1) {
        let name = &definition[..definition.find([' ', '{', '(']).unwrap_or(0)];
        let body = in_brackets(definition);
        if name.is_empty() || !body.contains("test]") || !body.contains("fn $") {
            continue;
        }
        let call = format!("{name}!");
        let calls = text.split(&call).skip(1).map(in_brackets);
        let words = calls.flat_map(|call| call.split(|c: char| !c.is_alphanumeric() && c != '_'));
        makers.push(words.map(str::to_owned).collect());
    }
    makers
}

/// What stands between the first bracket of a text and the one that closes it.
fn in_brackets(text: &str) -> &str {
    let mut depth = 0_u32;
    let mut begin = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => {
                if depth == 0 {
                    begin = at + c.len_utf8();
                }
                depth += 1;
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(begin..at).unwrap_or("");
                }
            }
            _ => {}
        }
    }
    ""
}

/// The word behind `keyword`, if that begins a line of code, perhaps behind `pub` or `async`.
fn word_after<'a>(code: &'a str, keyword: &str) -> Option<&'a str> {
    let mut code = code;
    for before in ["pub ", "pub(crate) ", "pub(super) ", "async "] {
        code = code.strip_prefix(before).unwrap_or(code);
    }
    let rest = code.strip_prefix(keyword)?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(&rest[..end]).filter(|word| !word.is_empty())
}

/// The path in an attribute that says where a module is.
fn path_of(attribute: &str) -> Option<String> {
    let path = attribute.strip_prefix("#[path = \"")?;
    path.strip_suffix("\"]").map(str::to_owned)
}

/// The name of a row in its parts, as in `CAP-108` or `A1`.
fn split_id(id: &str) -> Option<(&str, u32)> {
    let digits = id.find(|c: char| c.is_ascii_digit())?;
    let (family, number) = id.split_at(digits);
    let letters = family.strip_suffix('-').unwrap_or(family);
    let is_name = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_uppercase());
    Some((letters, number.parse().ok()?)).filter(|_| is_name)
}

fn id_of(family: &str, number: u32) -> String {
    if family.len() == 1 {
        format!("{family}{number}")
    } else {
        format!("{family}-{number:02}")
    }
}

/// The row that a line of the reference begins, by the name that it has here.
fn reference_id(file: &str, line: &str) -> Option<(String, u32)> {
    if file == "supervisors.md" {
        let number = line.split_once(". ")?.0.parse().ok()?;
        return Some((String::from("SURVEY"), number));
    }
    let entry = line
        .strip_prefix("| ")
        .or_else(|| line.strip_prefix("- "))?;
    let (family, number) = split_id(entry.split(' ').next()?)?;
    let family = match (file, family) {
        ("seed-behaviours.md", "B") => "BEYOND",
        _ => family,
    };
    Some((family.to_owned(), number))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

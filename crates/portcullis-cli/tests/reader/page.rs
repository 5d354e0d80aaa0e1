//! What a page tells its reader to do, in its order.
//!
//! | on the page | is |
//! |---|---|
//! | a block whose first line names a file (`# gateway.yaml`, `// src/main.rs`) | a file to write |
//! | a `sh` block | commands to run. `# 200` after one is the status that curl gets, `# ends with 1` an exit code, `# fails` any but 0 |
//! | a `text` block after one | what the commands, or the gateway that runs, print; `…` and a line `...` leave something out |
//! | a comment `given` with commands in it | what the reader has already, such as a certificate |
//! | a comment `not followed: WHY` | why the next block is not followed here |
//! | a comment `page not followed: WHY` | the same for the whole page |
//!
//! Comments are those of HTML, which no reader sees.

/// One thing that the reader does or sees.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Write { name: String, text: String },
    Given(String),
    Run(Vec<String>),
    Shows(String),
}

/// A page: its steps with their lines, and what of it is not followed.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) steps: Vec<(usize, Step)>,
    pub(crate) skipped: Vec<(usize, String)>,
    /// Why nothing of the page is followed.
    pub(crate) reason: Option<String>,
}

impl Page {
    pub(crate) fn read(text: &str) -> Page {
        let mut page = Page::default();
        let mut lines = text.lines().enumerate();
        let mut why = None;
        let mut last_was_commands = false;
        while let Some((number, line)) = lines.next() {
            if let Some(rest) = line.strip_prefix("<!-- ") {
                let rest = rest.trim_end_matches("-->").trim();
                if rest == "given" {
                    let commands = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "-->");
                    page.steps.push((number + 1, Step::Given(commands.collect::<Vec<_>>().join("\n"))));
                } else if let Some(reason) = rest.strip_prefix("not followed: ") {
                    why = Some(reason.to_owned());
                } else if let Some(reason) = rest.strip_prefix("page not followed: ") {
                    page.reason = Some(reason.to_owned());
                }
                continue;
            }
            let Some(language) = line.strip_prefix("```") else { continue };
            let body: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| !line.starts_with("```")).collect();
            let commands = language == "sh";
            if let Some(reason) = why.take() {
                page.skipped.push((number + 1, reason));
                last_was_commands = false;
                continue;
            }
            let step = match (language, body.first().and_then(|line| file_name(line))) {
                ("sh", _) => Some(Step::Run(joined(&body))),
                ("text", _) => last_was_commands.then(|| Step::Shows(body.join("\n"))),
                (_, Some(name)) => Some(Step::Write { name, text: body.join("\n") + "\n" }),
                (_, None) => None,
            };
            last_was_commands = commands || (last_was_commands && language == "text");
            page.steps.extend(step.map(|step| (number + 1, step)));
        }
        page
    }

    /// Whether there is a command to run.
    pub(crate) fn is_followed(&self) -> bool {
        self.reason.is_none() && self.steps.iter().any(|(_, step)| matches!(step, Step::Run(_)))
    }
}

/// The file that a comment in the first line of a block names.
fn file_name(line: &str) -> Option<String> {
    let name = line.strip_prefix("# ").or_else(|| line.strip_prefix("// "))?;
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "./-_".contains(c));
    (plain && !name.starts_with('/') && name.contains('.') && !name.ends_with('.')).then(|| name.to_owned())
}

/// Commands that go over several lines, as one each.
fn joined(lines: &[&str]) -> Vec<String> {
    let mut commands = Vec::new();
    let mut open = String::new();
    for line in lines {
        match line.strip_suffix('\\') {
            Some(start) => open.push_str(start),
            None => commands.push(std::mem::take(&mut open) + line),
        }
    }
    commands.retain(|command| !command.trim().is_empty() && !command.trim_start().starts_with('#'));
    commands
}

/// What the comment at the end of a command promises.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) status: Option<u16>,
    pub(crate) code: i32,
    pub(crate) fails: bool,
}

impl Promise {
    pub(crate) fn of(command: &str) -> Promise {
        let comment = command.rsplit_once(" # ").map_or("", |(_, comment)| comment.trim());
        let number =
            |text: &str| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
        let status = number(comment).filter(|status| (100..600).contains(status));
        let code = comment.strip_prefix("ends with ").and_then(number).map_or(0, i32::from);
        Promise { status, code, fails: comment.starts_with("fails") }
    }

    /// Whether a command that ended with `code`, and got `status`, did what was promised.
    pub(crate) fn is_kept(&self, code: Option<i32>, status: Option<u16>) -> bool {
        let ended = code.is_some_and(|code| if self.fails { code != 0 } else { code == self.code });
        ended && self.status.is_none_or(|promised| status == Some(promised))
    }
}

/// What of the shown text is not in `printed`, if anything: each line must be part of a line, in the same order.
pub(crate) fn missing(shown: &str, printed: &str) -> Option<String> {
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = printed.lines().map(plain);
    shown
        .lines()
        .map(plain)
        .filter(|line| !line.is_empty() && line != "..." && line != "…")
        .find(|wanted| !lines.by_ref().any(|line| fits(wanted, &line)))
}

/// Whether the parts of `wanted` between `…` are in `line` in their order.
fn fits(wanted: &str, line: &str) -> bool {
    let mut rest = line;
    wanted.split('…').all(|part| match rest.split_once(part.trim()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[test]
fn a_page_is_read_as_its_reader_does() {
    let page = Page::read(
        "# A page\n\n<!-- given\ntrue\n-->\n\n```yaml\n# gateway.yaml\na: 1\n```\n\n```sh\nfirst \\\n  more\ncurl -i x   # 200\n```\n\n\
         ```text\nshown\n```\n\n<!-- not followed: needs root -->\n```sh\nsudo x\n```\n\n```text\nno output\n```\n",
    );
    let steps: Vec<_> = page.steps.into_iter().map(|(_, step)| step).collect();
    assert_eq!(
        steps,
        [
            Step::Given("true".to_owned()),
            Step::Write { name: "gateway.yaml".to_owned(), text: "# gateway.yaml\na: 1\n".to_owned() },
            Step::Run(vec!["first   more".to_owned(), "curl -i x   # 200".to_owned()]),
            Step::Shows("shown".to_owned()),
        ]
    );
    assert_eq!(page.skipped, [(23, "needs root".to_owned())]);
    assert_eq!(Promise::of("curl -i x   # 401: no key"), Promise { status: Some(401), ..Promise::default() });
    assert_eq!(
        Promise::of("a diff   # ends with 1 where it is looser"),
        Promise { code: 1, ..Promise::default() }
    );
    assert!(Promise::of("curl x   # fails: no certificate").is_kept(Some(56), None));
    assert!(
        !Promise::of("curl x   # fails").is_kept(Some(0), None) && !Promise::of("x").is_kept(Some(1), None)
    );
    assert!(!Promise::of("x   # 200").is_kept(Some(0), None), "curl got no answer");
    assert_eq!(missing("one … three\n...\nfour", "0\none  two three\nfive four\n"), None);
    assert_eq!(missing("four\none", "one\nfour\n"), Some("one".to_owned()));
}

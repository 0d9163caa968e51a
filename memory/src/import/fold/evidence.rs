//! What says how a run ended: checks and their results, and what the tool's frame says of the person.
//!
//! Everything here prefers saying nothing to saying something wrong: an outcome that is taken for evidence
//! and is none teaches the wrong lesson.

/// A kind of command whose result says something about the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Tests,
    Build,
    Lint,
}

impl Check {
    pub(super) const ALL: [Self; 3] = [Self::Tests, Self::Build, Self::Lint];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tests => "the tests",
            Self::Build => "the build",
            Self::Lint => "the linter",
        }
    }
}

#[rustfmt::skip]
const TESTS: &[&str] = &[
    "cargo test", "cargo nextest", "pytest", "python -m unittest", "python3 -m unittest", "npm test", "npm t ",
    "npm run test", "pnpm test", "pnpm run test", "yarn test", "yarn run test", "bun test", "deno test", "jest",
    "vitest", "mocha", "go test", "mvn test", "mvn verify", "gradle test", "gradlew test", "make test", "make check",
    "ctest", "tox", "nox", "rspec", "rake test", "rails test", "phpunit", "dotnet test", "swift test", "mix test",
    "sbt test", "stack test", "cabal test", "zig build test", "bazel test", "playwright test", "flutter test",
    "mvnw test", "mvnw verify", "node --test", "meson test", "cypress run", "ginkgo", "gotestsum", "ava", "just test",
];

#[rustfmt::skip]
const BUILDS: &[&str] = &[
    "cargo build", "cargo check", "npm run build", "pnpm build", "pnpm run build", "yarn build", "yarn run build",
    "bun run build", "tsc", "go build", "go vet", "mvn package", "mvn compile", "gradle build", "gradlew build",
    "cmake --build", "ninja", "dotnet build", "swift build", "next build", "vite build", "docker build",
    "xcodebuild",
];

#[rustfmt::skip]
const LINTS: &[&str] = &[
    "cargo clippy", "cargo fmt --check", "eslint", "npm run lint", "pnpm lint", "yarn lint", "ruff", "flake8",
    "mypy", "pyright", "golangci-lint", "biome check", "prettier --check", "shellcheck", "rubocop",
];

/// Which check a shell command runs, if any.
pub(super) fn check_of(command: &str) -> Option<Check> {
    let command = without_documents(&command.to_lowercase());
    // A test file that is merely printed or searched is no test run.
    let runs = |words: &[&str]| {
        command.split(['\n', ';', '|', '&', '(']).any(|part| {
            let part = without_prefix(part.trim());
            let bare = without_options(part);
            [format!("{part} "), format!("{bare} ")].iter().any(|part| words.iter().any(|word| is_run(part, word)))
        })
    };
    match () {
        () if runs(TESTS) => Some(Check::Tests),
        () if runs(BUILDS) => Some(Check::Build),
        () if runs(LINTS) => Some(Check::Lint),
        () => None,
    }
}

fn is_run(part: &str, word: &str) -> bool {
    let goes_on = |next: char| next.is_alphanumeric() || matches!(next, '.' | '_' | '-' | '/');
    part.strip_prefix(word).is_some_and(|rest| !rest.starts_with(goes_on))
}

/// The command without the documents that it writes: `cat > run.sh <<'EOF' … EOF` runs nothing of them.
fn without_documents(command: &str) -> String {
    let mut kept = String::with_capacity(command.len());
    let mut until: Option<&str> = None;
    for line in command.lines() {
        if let Some(end) = until {
            if line.trim() == end {
                until = None;
            }
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
        let mark = line.split_once("<<").map(|(_, mark)| mark.trim_start_matches(['-', '~', ' ', '\'', '"', '\\']));
        let mark = mark.map(|mark| mark.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default());
        until = mark.filter(|mark| !mark.is_empty());
    }
    kept
}

/// `mvn -q test` as `mvn test`: the options between a program and what it is to do.
fn without_options(part: &str) -> String {
    const WITH_VALUE: &[&str] = &["-c", "-f", "-p", "--prefix", "--cwd", "--manifest-path", "--dir", "--directory"];
    let mut words = part.split_whitespace();
    let mut bare = words.next().unwrap_or_default().to_owned();
    let mut rest = words.peekable();
    while let Some(option) = rest.next_if(|word| word.starts_with(['-', '+'])) {
        if WITH_VALUE.contains(&option) {
            rest.next();
        }
    }
    for word in rest {
        bare.push(' ');
        bare.push_str(word);
    }
    bare
}

/// The command behind what only sets its surroundings: `FOO=1 timeout 60 npx vitest`.
fn without_prefix(mut part: &str) -> &str {
    loop {
        let (word, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let rest = rest.trim_start();
        let sets = word.contains('=') && !word.starts_with('-') && !word.starts_with('=');
        let wraps = matches!(word, "time" | "nice" | "env" | "sudo" | "npx" | "bunx" | "uvx" | "exec" | "xvfb-run");
        let runs = (matches!(word, "uv" | "poetry" | "pipenv" | "hatch" | "pdm") && rest.starts_with("run ")
            || matches!(word, "bundle" | "pnpm" | "yarn") && rest.starts_with("exec ")
            || word == "pipx" && rest.starts_with("run ")
            || matches!(word, "python" | "python3") && rest.starts_with("-m pytest"))
        .then(|| rest.split_once(' ').map_or("", |(_, rest)| rest));
        part = match runs {
            Some(rest) => rest.trim_start(),
            None if sets || wraps => rest,
            None if word == "timeout" => rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start()),
            None => return part.strip_prefix("./").unwrap_or(part),
        };
        if part.is_empty() {
            return part;
        }
    }
}

/// Whether a check passed: by what it printed, else by its exit. A pipe hides the exit, so the words come first.
pub(super) fn is_green(check: Check, ok: Option<bool>, text: &str) -> Option<bool> {
    // The end of a long log holds the verdict.
    let mut start = text.len().saturating_sub(16 * 1024);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let tail = &text[start..];
    if check == Check::Tests {
        return tests_are_green(ok, tail);
    }
    let red = ok == Some(false)
        || tail
            .lines()
            .any(|line| line.starts_with("error[") || line.starts_with("error: ") || line.contains(": error TS"))
        || tail.contains("BUILD FAILED")
        || tail.contains("Failed to compile");
    Some(!red)
}

/// Whether tests passed. What the runner sums up outweighs what is printed on the way: a test may print anything.
fn tests_are_green(ok: Option<bool>, tail: &str) -> Option<bool> {
    let sums: Vec<Sum> = tail.lines().filter_map(Sum::read).collect();
    let starts = |marks: &[&str]| tail.lines().any(|line| marks.iter().any(|mark| line.starts_with(mark)));
    let red = sums.iter().any(|sum| sum.failed)
        || tail.contains("test result: FAILED")
        || tail.contains("could not compile")
        || starts(&[
            "--- FAIL",
            "FAIL\t",
            "FAILED (",
            "[INFO] BUILD FAILURE",
            "BUILD FAILED",
            "BUILD FAILURE",
            "FAILURE: ",
        ])
        || sums.is_empty() && starts(&["FAIL ", "FAILED ", "=== FAILURES", "[ERROR] Failed", "not ok "]);
    if red {
        return Some(false);
    }
    let passed = sums.iter().any(|sum| sum.passed);
    // Runners that give no number.
    let worded = sums.is_empty() && !tail.contains("Ran 0 tests") && tail.lines().any(is_green_line);
    if (passed || worded) && ok != Some(false) {
        return Some(true);
    }
    // Without a verdict in words, a run of nothing exits well, too.
    if ok == Some(false) { Some(false) } else { None }
}

fn is_green_line(line: &str) -> bool {
    let ran = line.starts_with("ok  \t") && !line.contains("[no tests") && !line.contains("[no test files]");
    let all = line.trim().to_ascii_lowercase();
    ran || line == "OK" || all.starts_with("all tests passed") || line.starts_with("BUILD SUCCESSFUL")
}

/// What a line says in which a runner sums up a run: `12 passed, 1 failed in 0.3s`, `Tests run: 12, Failures: 0`.
#[derive(Debug, PartialEq)]
struct Sum {
    failed: bool,
    passed: bool,
}

impl Sum {
    fn read(line: &str) -> Option<Sum> {
        let line = line.trim_matches(|c: char| matches!(c, '=' | '#' | 'ℹ' | '│' | '-' | '*') || c.is_whitespace());
        let line = line.strip_prefix("[INFO] ").or_else(|| line.strip_prefix("[ERROR] ")).unwrap_or(line);
        let line = line.strip_prefix("[WARNING] ").unwrap_or(line).trim_start().to_ascii_lowercase();
        let words: Vec<&str> =
            line.split(|c: char| !c.is_ascii_alphanumeric() && c != '%').filter(|w| !w.is_empty()).collect();
        let number = |word: &str| word.trim_end_matches('%').parse::<u64>().ok();
        const HEADS: &[&str] = &[
            "test result:",
            "tests:",
            "test suites:",
            "test files",
            "tests run:",
            "tests ",
            "passed! ",
            "failed! ",
            "ok |",
            "failed |",
            "summary [",
            "executed ",
            "ok (",
            "failed (",
        ];
        let headed = HEADS.iter().any(|head| line.starts_with(head));
        // `# pass 5` of node, ` 5 pass` of bun.
        let terse =
            matches!(words.as_slice(), ["pass" | "fail", count] | [count, "pass" | "fail"] if number(count).is_some());
        if !headed && !terse && !begins_with_count(&line) {
            return None;
        }
        let mut sum = Sum { failed: false, passed: false };
        let mut any = false;
        for (at, word) in words.iter().enumerate() {
            let failing = matches!(*word, "failed" | "failing" | "failures" | "failure" | "errors" | "error" | "fail");
            let passing = matches!(*word, "passed" | "passing" | "pass");
            let totals = matches!(*word, "examples" | "example" | "runs" | "assertions") || *word == "tests" && !terse;
            if !(failing || passing || totals) {
                continue;
            }
            // "3 failed", "3 tests failed"; "Failures: 3", "failures=3".
            let before = at.checked_sub(1).and_then(|at| match words[at] {
                "tests" | "test" => at.checked_sub(1).and_then(|at| number(words[at])),
                word => number(word),
            });
            let labelled = words.get(at + 1).and_then(|next| number(next)).filter(|_| is_labelled(&line, word));
            let Some(count) = labelled.or(before) else { continue };
            any = true;
            sum.failed |= failing && count > 0;
            sum.passed |= passing && count > 0;
            // "12 examples, 0 failures": all that did not fail passed.
            sum.passed |= totals && count > 0 && (line.contains("failure") || line.starts_with("ok ("));
        }
        // Maven labels the whole, too: "Tests run: 12".
        let run = line.strip_prefix("tests run:").and_then(|rest| number(rest.trim_start().split([',', ' ']).next()?));
        sum.passed |= run.is_some_and(|run| run > 0);
        sum.passed &= !sum.failed;
        any.then_some(sum)
    }
}

/// Whether the word is a label of what follows: `failures: 3`, `failures=3`, and `fail 3` of a line that says no more.
fn is_labelled(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| line[at + word.len()..].starts_with([':', '=']))
        || line.starts_with(&format!("{word} "))
}

/// Whether a line begins with a count of results and nothing else: `3 failed, 10 passed`, and not `3 failed attempts`.
fn begins_with_count(line: &str) -> bool {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return false;
    }
    let rest = line[digits..].strip_prefix('%').unwrap_or(&line[digits..]).trim_start();
    let rest = rest.strip_prefix("tests ").unwrap_or(rest);
    const RESULTS: &[&str] = &[
        "passed", "failed", "passing", "failing", "errors", "error", "examples", "example", "tests", "runs", "skipped",
    ];
    let Some(rest) = RESULTS.iter().find_map(|result| rest.strip_prefix(result)) else { return false };
    rest.is_empty()
        || rest.starts_with([',', ';', '|', '(', ')'])
        || [" in ", " (", " |", " out of"].iter().any(|end| rest.starts_with(end))
}

/// Whether a tool changes files.
pub(super) fn is_change(tool: &str) -> bool {
    matches!(
        tool,
        "Edit"
            | "MultiEdit"
            | "Write"
            | "NotebookEdit"
            | "edit"
            | "write"
            | "apply_patch"
            | "replace"
            | "write_file"
            | "patch"
            | "str_replace_editor"
            | "edit_file"
            | "search_replace"
            | "StrReplace"
            | "create"
            | "edit_notebook"
            | "Delete"
            | "delete_file"
            | "multiedit"
    )
}

/// Whether the tool's frame says that the person stopped what was going on.
pub(super) fn is_interruption(text: &str) -> bool {
    let text = text.trim_start();
    ["[Request interrupted by user", "<turn_aborted>", "Request cancelled."].iter().any(|start| text.starts_with(start))
}

/// Whether a tool's answer says that the person refused the call.
pub(super) fn is_rejection(text: &str) -> bool {
    text.starts_with("The user doesn't want to proceed with this tool use")
        || text.starts_with("The user doesn't want to take this action right now")
        || text.starts_with("[Request interrupted by user")
}

/// The line of an error's output that says what is wrong.
pub(super) fn telling_line(text: &str) -> &str {
    let text = text.strip_prefix("<tool_use_error>").unwrap_or(text);
    let text = text.strip_suffix("</tool_use_error>").unwrap_or(text).trim();
    let telling = |line: &&str| {
        let lower = line.to_lowercase();
        ["error", "failed", "panicked", "exception", "cannot", "not found", "no such", "denied"]
            .iter()
            .any(|word| lower.contains(word))
    };
    let noise = |line: &&str| line.trim().is_empty() || line.starts_with("npm warn") || line.starts_with("Exit code");
    let mut lines = text.lines().filter(|line| !noise(line)).take(400);
    let first = lines.clone().next().unwrap_or(text);
    lines.find(telling).unwrap_or(first).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_command_that_runs_not_one_that_is_mentioned() {
        for command in [
            "cargo test -p x",
            "cd app && npm test",
            "RUST_LOG=1 timeout 60 cargo test 2>&1 | tail",
            "npx vitest run",
            "uv run pytest -q",
            "python3 -m pytest x",
            "./gradlew test",
        ] {
            assert_eq!(check_of(command), Some(Check::Tests), "{command}");
        }
        assert_eq!(check_of("cd app && npx tsc --noEmit"), Some(Check::Build));
        assert_eq!(check_of("cargo clippy --all-targets"), Some(Check::Lint));
        for command in [
            "cat pytest.ini",
            "grep -rn 'cargo test' .",
            "ls jest.config.js",
            "echo done",
            "vim tests/go test",
            "pytest.sh",
        ] {
            assert_eq!(check_of(command), None, "{command}");
        }
    }

    #[test]
    fn a_verdict_in_words_outweighs_a_hidden_exit() {
        let tests = |ok, text| is_green(Check::Tests, ok, text);
        assert_eq!(tests(Some(true), "test result: FAILED. 3 passed; 1 failed"), Some(false));
        assert_eq!(tests(Some(true), "test result: ok. 3 passed; 0 failed"), Some(true));
        assert_eq!(tests(Some(true), "== 12 passed in 0.3s =="), Some(true));
        assert_eq!(tests(Some(true), "Tests: 2 failed, 10 passed, 12 total"), Some(false));
        assert_eq!(tests(Some(false), "Exit code 101"), Some(false));
        assert_eq!(tests(Some(true), ""), None);
    }

    #[test]
    fn a_runners_sum_is_read_and_what_tests_print_is_not() {
        let green = [
            "retry: 3 failed attempts simulated\n3 failed attempts simulated\nTests: 12 passed, 12 total",
            "Tests run: 12, Failures: 0, Errors: 0, Skipped: 0\n[INFO] BUILD SUCCESS",
            "[INFO] Tests run: 12, Failures: 0, Errors: 0, Skipped: 0",
            "Test Suites: 1 skipped, 3 passed, 3 of 4 total\nTests: 9 passed, 9 total",
            "Passed!  - Failed:     0, Passed:    12, Skipped:     0, Total: 12",
            "12 examples, 0 failures",
            "1 example, 0 failures",
            "# tests 5\n# pass 5\n# fail 0",
            "ℹ tests 5\nℹ pass 5\nℹ fail 0",
            "ok | 5 passed | 0 failed (10ms)",
            "===== 5 passed, 2 xfailed in 0.1s =====",
            "3 passed in 0.1s",
            " Test Files  2 passed (2)\n      Tests  14 passed (14)",
            "  12 passing (30ms)",
            "ok  \tgithub.com/x/y\t0.01s",
            "Ran 6 tests in 0.002s\n\nOK",
            "OK (3 tests, 5 assertions)",
            "5 runs, 10 assertions, 0 failures, 0 errors, 0 skips",
            "3 tests, 0 failures",
            "     Summary [   0.1s] 5 tests run: 5 passed, 0 skipped",
            " 5 pass\n 0 fail\nRan 5 tests across 1 file.",
            "100% tests passed, 0 tests failed out of 6",
            "All tests passed!",
            "test a::says ... FAIL is printed\ntest result: ok. 2 passed; 0 failed; 0 ignored",
            "Executed 5 tests, with 0 failures (0 unexpected) in 0.1 seconds",
            "FAIL is the word that the test prints\n=== 4 passed in 0.2s ===",
        ];
        for text in green {
            assert_eq!(is_green(Check::Tests, Some(true), text), Some(true), "{text}");
        }
        let red = [
            "Tests run: 12, Failures: 2, Errors: 0, Skipped: 0",
            "[ERROR] Tests run: 12, Failures: 0, Errors: 1, Skipped: 0",
            "Failed!  - Failed:     2, Passed:    10, Skipped:     0",
            "12 examples, 2 failures",
            "# tests 5\n# pass 4\n# fail 1",
            "ok | 4 passed | 0 failed (10ms)\nFAILED | 4 passed | 1 failed (10ms)",
            "--- FAIL: TestX\nFAIL\texit status 1",
            "FAILED (failures=1)",
            "2 failing",
            "50% tests passed, 3 tests failed out of 6",
            "FAILED tests/test_a.py::test_x - assert 1 == 2",
            "=== 1 error in 0.3s ===",
            "Tests: 3, Assertions: 5, Failures: 1.",
            "3 tests, 1 failure",
            " 4 pass\n 1 fail",
            "Test Suites: 1 failed, 1 total\nTests:       0 total",
        ];
        for text in red {
            assert_eq!(is_green(Check::Tests, None, text), Some(false), "{text}");
        }
        let neither = [
            "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored",
            "0 examples, 0 failures",
            "Tests run: 0, Failures: 0, Errors: 0, Skipped: 0",
            "# tests 0\n# pass 0\n# fail 0",
            "?   \tgithub.com/x/y\t[no test files]",
            "ok  \tgithub.com/x/y\t0.01s [no tests to run]",
            "OK (0 tests, 0 assertions)",
            "Ran 0 tests in 0.000s\n\nOK",
            "I think that 5 passed the gate",
        ];
        for text in neither {
            assert_eq!(is_green(Check::Tests, Some(true), text), None, "{text}");
        }
    }

    #[test]
    fn runners_are_known_behind_options_and_not_in_what_is_written() {
        for command in [
            "uvx pytest -q",
            "mvn -q test",
            "./mvnw -B -f app/pom.xml verify",
            "node --test",
            "cargo +nightly test",
            "make -j4 test",
            "npm --prefix web test",
            "pipx run pytest",
            "dotnet test",
            "cat > a <<EOF\nhello\nEOF\ncargo test",
        ] {
            assert_eq!(check_of(command), Some(Check::Tests), "{command}");
        }
        for command in ["cat > run.sh <<'EOF'\ncargo test\nEOF", "node test.js", "make clean", "mvn -q dependency:tree"]
        {
            assert_eq!(check_of(command), None, "{command}");
        }
    }
}

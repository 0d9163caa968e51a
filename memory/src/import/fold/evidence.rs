//! What says how a run ended: checks and their results, and what the person said afterwards.
//!
//! Everything here prefers saying nothing to saying something wrong: an outcome that is taken for evidence
//! and is none teaches the wrong lesson.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// A kind of command whose result says something about the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Tests,
    Build,
    Lint,
}

impl Check {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tests => "the tests",
            Self::Build => "the build",
            Self::Lint => "the linter",
        }
    }
}

/// What a person's later turn says about what was done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Thanks,
    Correction,
}

#[rustfmt::skip]
const TESTS: &[&str] = &[
    "cargo test", "cargo nextest", "pytest", "python -m unittest", "python3 -m unittest", "npm test", "npm t ",
    "npm run test", "pnpm test", "pnpm run test", "yarn test", "yarn run test", "bun test", "deno test", "jest",
    "vitest", "mocha", "go test", "mvn test", "mvn verify", "gradle test", "gradlew test", "make test", "make check",
    "ctest", "tox", "nox", "rspec", "rake test", "rails test", "phpunit", "dotnet test", "swift test", "mix test",
    "sbt test", "stack test", "cabal test", "zig build test", "bazel test", "playwright test", "flutter test",
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
    let command = command.to_lowercase();
    // A test file that is merely printed or searched is no test run.
    let runs = |words: &[&str]| {
        command.split(['\n', ';', '|', '&', '(']).any(|part| {
            let part = format!("{} ", without_prefix(part.trim()));
            words.iter().any(|word| {
                part.starts_with(word)
                    && !part[word.len()..]
                        .starts_with(|next: char| next.is_alphanumeric() || matches!(next, '.' | '_' | '-' | '/'))
            })
        })
    };
    match () {
        () if runs(TESTS) => Some(Check::Tests),
        () if runs(BUILDS) => Some(Check::Build),
        () if runs(LINTS) => Some(Check::Lint),
        () => None,
    }
}

/// The command behind what only sets its surroundings: `FOO=1 timeout 60 npx vitest`.
fn without_prefix(mut part: &str) -> &str {
    loop {
        let (word, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let rest = rest.trim_start();
        let sets = word.contains('=') && !word.starts_with('-') && !word.starts_with('=');
        let wraps = matches!(word, "time" | "nice" | "env" | "sudo" | "npx" | "bunx" | "exec" | "xvfb-run");
        let runs = (matches!(word, "uv" | "poetry" | "pipenv" | "hatch" | "pdm") && rest.starts_with("run ")
            || matches!(word, "bundle" | "pnpm" | "yarn") && rest.starts_with("exec ")
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
        let red = tail.contains("test result: FAILED")
            || tail.contains("=== FAILURES")
            || tail.contains("Test Suites:") && counted(tail, "failed")
            || tail.contains("--- FAIL")
            || tail
                .lines()
                .any(|line| line.starts_with("FAIL ") || line.starts_with("FAILED ") || line.starts_with("FAILED ("))
            || counted(tail, "failed")
            || counted(tail, "failing")
            || counted(tail, "errors")
            || tail.contains("BUILD FAILURE")
            || tail.contains("could not compile");
        if red {
            return Some(false);
        }
        let green = tail.contains("test result: ok")
            || counted(tail, "passed")
            || counted(tail, "passing")
            || tail.lines().any(|line| line == "OK" || line.starts_with("OK (") || line.starts_with("ok  \t"));
        if green && ok != Some(false) {
            return Some(true);
        }
        // Without a verdict in words, a run of nothing exits well, too.
        return if ok == Some(false) { Some(false) } else { None };
    }
    let red = ok == Some(false)
        || tail
            .lines()
            .any(|line| line.starts_with("error[") || line.starts_with("error: ") || line.contains(": error TS"))
        || tail.contains("BUILD FAILED")
        || tail.contains("Failed to compile");
    Some(!red)
}

/// Whether a count above zero stands before the word: `3 failed`.
fn counted(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].trim_end_matches(' ');
        let digits = before.bytes().rev().take_while(u8::is_ascii_digit).count();
        digits > 0 && before.len() < at && before[before.len() - digits..].bytes().any(|digit| digit != b'0')
    })
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

/// A turn longer than this is a new request, whatever words are in it.
const WORD_BYTES_MAX: usize = 600;

#[rustfmt::skip]
const CORRECTIONS: &[&str] = &[
    // English
    "still fail", "still broken", "still not", "still doesn't", "still does not", "still getting", "still get ",
    "still the same", "still wrong", "still an error", "still see", "doesn't work", "does not work", "didn't work",
    "did not work", "not working", "isn't working", "isn't right", "not right", "that's wrong", "that is wrong",
    "this is wrong", "it's wrong", "wrong file", "not what i", "you broke", "it broke", "same error", "not fixed",
    "didn't fix", "did not fix", "doesn't fix", "undo that", "undo this", "revert that", "revert this",
    "revert your", "roll that back", "made it worse", "incorrect",
    // Chinese
    "不对", "不對", "错了", "錯了", "还是不行", "還是不行", "不行", "没用", "沒用", "不工作", "还是报错", "還是報錯",
    "仍然报错", "又报错", "依然报错", "没有解决", "沒有解決", "没解决", "没修好", "没有生效", "不是这样", "不是這樣",
    "不是我要", "改回去", "撤销刚才", "还是失败", "還是失敗", "还是错", "弄坏", "更糟",
    // Japanese
    "違います", "違う", "ちがう", "動かない", "動きません", "動いていません", "直っていない", "直ってない",
    "直っていません", "まだエラー", "まだ失敗", "まだ動", "まだ直", "おかしい", "間違って", "間違い", "ダメです",
    "だめです", "ダメでした", "だめでした", "元に戻して", "同じエラー", "うまくいかない", "うまくいきません", "壊れ",
    // Korean
    "아니에요", "아닙니다", "틀렸", "안 돼", "안돼", "안 됩니다", "안됩니다", "작동하지 않", "동작하지 않", "여전히",
    "아직도", "같은 오류", "같은 에러", "잘못", "되돌려", "고쳐지지",
];

#[rustfmt::skip]
const THANKS: &[&str] = &[
    // English
    "thank you", "thanks", "thx", "perfect", "great job", "good job", "well done", "nice work", "lgtm", "looks good",
    "works now", "works great", "works perfectly", "it works", "that works", "works well", "working now",
    "that fixed it", "fixed it", "awesome", "excellent", "solved", "exactly what i", "all good",
    // Chinese
    "谢谢", "謝謝", "多谢", "多謝", "感谢", "感謝", "可以了", "搞定", "完美", "没问题了", "沒問題了", "解决了",
    "解決了", "成功了", "太好了", "很好", "正常了", "通过了", "通過了", "好用了", "修好了",
    // Japanese
    "ありがとう", "助かりました", "助かります", "完璧", "動きました", "動くようになりました", "直りました",
    "解決しました", "うまくいきました", "いい感じ", "バッチリ", "ばっちり", "問題ありません", "問題なさそう",
    // Korean
    "감사합니다", "감사해요", "고마워", "고맙습니다", "완벽", "잘 됩니다", "잘 돼요", "잘됩니다", "잘돼요", "해결됐",
    "해결되었", "수고하셨", "잘 작동", "잘 동작",
];

/// Of these, the words that say nothing about the work itself.
#[rustfmt::skip]
const GRATITUDE: &[&str] = &[
    "thank", "thx", "谢谢", "謝謝", "多谢", "多謝", "感谢", "感謝", "ありがとう", "감사", "고마워", "고맙습니다",
];

/// Words before a thanks that make it something else: a condition, a question, a request.
#[rustfmt::skip]
const NOT_YET: &[&str] = &[
    "not ", "n't ", "until ", "make sure", "ensure", "check ", "if ", "whether", "should", "when ", "so that ",
    "verify", "please", "can you", "could you", "how ", "why ", "没", "不", "请", "如果", "确保", "是否", "検証",
    "確認", "もし", "ください", "만약", "확인", "해 주세요", "해주세요",
];

/// What a person's turn says about the work before it, where it clearly says something.
pub(super) fn word_of(text: &str) -> Option<Word> {
    let text = text.trim();
    if text.len() > WORD_BYTES_MAX {
        return None;
    }
    let text = text.to_lowercase().replace('’', "'");
    if text.contains("in advance") {
        return None;
    }
    // Aider's command that takes the last change back.
    if text == "/undo" {
        return Some(Word::Correction);
    }
    if let Some(correction) = CORRECTION.find(&text) {
        let at = correction.start();
        // "Is that wrong?", "tell me if it is not working", "没有不对" say nothing yet.
        let before = &text[..at];
        let asks = ["if ", "whether", "如果", "もし", "만약", "没有", "沒有", "nothing "]
            .iter()
            .any(|word| before.ends_with(word) || last_clause(before).contains(word));
        return if asks { None } else { Some(Word::Correction) };
    }
    if matches!(text.split(|c: char| !c.is_alphanumeric()).next(), Some("no" | "nope" | "wrong"))
        && (text.starts_with("no,") || text.starts_with("nope") || text.starts_with("wrong"))
    {
        return Some(Word::Correction);
    }
    let at = find_thanks(&text)?;
    let clause = last_clause(&text[..at]);
    if NOT_YET.iter().any(|word| clause.contains(word))
        || text[at..].trim_end().ends_with(['?', '？']) && !text[at..].contains(['.', '!', '。', '！'])
    {
        return None;
    }
    // Who thanks and then asks is not at the end yet.
    if text.ends_with(['?', '？']) && GRATITUDE.iter().any(|word| text[at..].starts_with(word)) {
        return None;
    }
    // A polite end of a new request thanks for what is still to come.
    let before = text[..at].trim();
    let requests = ["please", "can you", "could you", "请", "請", "帮", "幫", "ください", "お願い", "주세요", "부탁"];
    (before.len() <= 40 || !requests.iter().any(|word| before.contains(word)))
        .then_some(())
        .filter(|()| !(requests.iter().any(|word| before.contains(word))))
        .filter(|()| before.len() <= 160)
        .map(|()| Word::Thanks)
}

/// Where thanks stand by themselves; scripts without spaces have them anywhere.
fn find_thanks(text: &str) -> Option<usize> {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let found = THANK.find_overlapping_iter(text).filter(|found| {
        !text[found.range()].is_ascii()
            || !inside(text[..found.start()].chars().next_back()) && !inside(text[found.end()..].chars().next())
    });
    found.map(|found| found.start()).min()
}

/// All corrections at once: every turn of a person is looked through for them.
static CORRECTION: LazyLock<AhoCorasick> = LazyLock::new(|| searcher(MatchKind::LeftmostFirst, CORRECTIONS));

static THANK: LazyLock<AhoCorasick> = LazyLock::new(|| searcher(MatchKind::Standard, THANKS));

/// The lists are ours, and far below the limit of what can be searched for at once.
fn searcher(kind: MatchKind, words: &[&str]) -> AhoCorasick {
    AhoCorasick::builder().match_kind(kind).build(words).expect("a list of words")
}

fn last_clause(text: &str) -> &str {
    text.rsplit(['.', '!', ',', ';', '\n', '。', '！', '，', '、', '；']).next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thanks_and_corrections_are_told_apart_in_four_languages() {
        for text in [
            "Thanks! Please update the docs for this",
            "perfect",
            "great, it works now",
            "谢谢，可以了",
            "搞定了！",
            "太好了，接下来写文档",
            "ありがとうございます。動きました",
            "完璧です",
            "감사합니다! 잘 됩니다",
            "lgtm, ship it",
        ] {
            assert_eq!(word_of(text), Some(Word::Thanks), "{text}");
        }
        for text in [
            "it still fails with the same error",
            "No, I meant the other file",
            "Thanks, but that doesn’t work",
            "不对，应该改配置文件",
            "还是报错",
            "まだエラーが出ます",
            "違います、そのファイルではありません",
            "여전히 오류가 납니다",
            "this is wrong",
        ] {
            assert_eq!(word_of(text), Some(Word::Correction), "{text}");
        }
        for text in [
            "please add a test, thanks",
            "make sure it works",
            "does that look perfect to you?",
            "now the second step",
            "请确认可以了再继续",
            "帮我加个日志，谢谢",
            "テストを追加してください、ありがとう",
            "tell me if it is not working",
            "tests should run until it works",
            "notes on the imperfect parser",
            "run it and check whether all good",
        ] {
            assert_eq!(word_of(text), None, "{text}");
        }
    }

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
}

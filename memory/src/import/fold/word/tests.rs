//! What turns are taken for: a table for each language. Nobody's session is quoted here.

use super::*;

fn all(turns: &[&str], expected: Option<Word>) {
    let wrong: Vec<String> = turns
        .iter()
        .filter(|turn| word_of(turn, false) != expected)
        .map(|turn| format!("{turn}: {:?}", word_of(turn, false)))
        .collect();
    assert!(wrong.is_empty(), "not {expected:?}:\n{}", wrong.join("\n"));
}

#[test]
fn thanks_and_praise_are_taken_for_success() {
    all(
        &[
            "Thanks! Please update the docs for this",
            "perfect",
            "great, it works now",
            "lgtm, ship it",
            "no problem, all good",
            "Perfect. Now rewrite everything, you broke nothing",
            "that fixed it, thanks",
            "works like a charm now, thank you so much",
            "yes! exactly like that",
            "awesome, thank you",
            "Awesome! Next, the sidebar",
            "that's perfect",
            "it works perfectly",
            "Looks good to me. Now change the footer, but keep its height",
            "excellent work",
            "the problem is solved, merge it",
            "ok that solved the problem",
            "谢谢，可以了",
            "搞定了！",
            "太好了，接下来写文档",
            "问题解决了，多谢",
            "测试通过了",
            "完美",
            "很好，提交吧",
            "现在正常了",
            "ありがとうございます。動きました",
            "完璧です",
            "直りました！次はテストです",
            "スマホでも動きました",
            "助かりました",
            "감사합니다! 잘 됩니다",
            "이제 되네요, 고마워요",
            "완벽해요",
            "해결됐습니다",
        ],
        Some(Word::Thanks),
    );
}

#[test]
fn statements_of_trouble_are_taken_for_failure() {
    all(
        &[
            "it still fails with the same error",
            "No, I meant the other file",
            "Thanks, but that doesn’t work",
            "this is wrong",
            "it works on my machine but crashes in CI",
            "almost perfect, the color is still off",
            "that solved nothing",
            "you changed the wrong file",
            "wrong file",
            "undo that",
            "please revert this change",
            "revert your last edit, it broke the build",
            "it fails when the list is empty",
            "when I click save it still crashes",
            "why is it still broken?",
            "the header is not working",
            "does not work",
            "hm, nope",
            "not what I asked for",
            "no luck, same error",
            "谢谢，但是还有个错误没有修复",
            "不对，应该改配置文件",
            "还是报错",
            "你改错了",
            "这样不行",
            "结果不对",
            "为什么还是不行？",
            "杀了也没有用，一样报错",
            "改回去",
            "まだエラーが出ます",
            "違います、そのファイルではありません",
            "それは違います",
            "ありがとうございます。でもまだ動きません",
            "ボタンが動かないです",
            "直っていないので見てください",
            "さっきの変更を元に戻してください",
            "여전히 오류가 납니다",
            "감사합니다. 하지만 아직도 안 돼요",
            "그게 아니에요",
            "잘못 이해하셨어요",
            "되돌려 주세요",
            "that's not what I wanted",
            "the tests are still failing",
            "tests still fail",
            "that broke the build",
            "it works. but the tests fail",
            "nope, same thing",
            "undo",
            "can you undo that?",
            "表示がおかしいです",
            "颜色还是不对",
            "你写的不太对",
            "아직 오류가 나요",
        ],
        Some(Word::Correction),
    );
}

#[test]
fn requests_questions_and_topics_are_no_verdict() {
    all(
        &[
            "please add a test, thanks",
            "make sure it works",
            "does that look perfect to you?",
            "now the second step",
            "tell me if it is not working",
            "tests should run until it works",
            "notes on the imperfect parser",
            "run it and check whether all good",
            "show a message when the wrong file is uploaded",
            "handle incorrect passwords in the login form too",
            "add the awesome-rust repo to the list",
            "comment LGTM on the PR",
            "how do I revert this commit later?",
            "add a troubleshooting section titled 'it does not work on Windows'",
            "why does the old version not work with apples? it doesn't work there, does it",
            "thanks but no thanks, I did it myself",
            "write \"thank you\" on the last page",
            "add a thank you page",
            "I fixed it myself",
            "explain how it works",
            "remove the code that doesn't work",
            "if the build fails, say that it is broken",
            "retry once and log if it still fails",
            "wrong passwords lock the account",
            "count the wrong answers",
            "users who are offline can still get the page",
            "I'm still not sure about the name",
            "mark the tests which still fail as ignored",
            "use the excellent crate for this",
            "nearly perfect",
            "it works on my machine",
            "looks good, but rename it",
            "thanks, but keep the old name",
            "thanks to the cache it is fast",
            "a step that works offline",
            "print \"it works\" at the end",
            "align it to the left, not right",
            "is it solved?",
            "could you make it perfect",
            "the test is wrong, not your code",
            "fix the tests that still fail",
            "请确认可以了再继续",
            "帮我加个日志，谢谢",
            "密码错了的时候要弹出提示",
            "密码错了，弹出提示",
            "如果密码错了，弹出提示",
            "先不行动，等我确认",
            "把图标不对齐的地方改一下",
            "行不行",
            "这样对不对",
            "列出没有解决的问题",
            "基本可以了",
            "改一行就可以了",
            "没用到的变量删掉",
            "增加一个感谢信页面",
            "差不多完美",
            "テストを追加してください、ありがとう",
            "間違いを検出するバリデーションを追加してください",
            "違う色にして",
            "動かないボタンを削除して",
            "壊れたリンクを検出して",
            "同じエラーをまとめて表示して",
            "追加してくれると助かります",
            "動きましたか",
            "ほぼ完璧です",
            "入力が間違っている場合は警告してください",
            "キャンセル時に値を元に戻してください",
            "잘못된 비밀번호 처리도 추가해줘",
            "비밀번호가 틀렸습니다 라고 표시해줘",
            "잘 작동하는지 확인해 주세요",
            "완벽하게 정리해줘",
            "거의 완벽해요",
            "오류가 나면 알림을 보여줘",
            "works now, but slow",
            "the app is a cli. in a browser the prompt blocks, same problem if it was an api",
            "make the parser robust: it fails on empty input",
            "we use redis. it fails when offline, so we need a cache",
            "next issue: the export is not working",
            "it fails if the list is empty, doesn't it?",
            "the user says it doesn't work",
            "no need, thanks",
            "how do I undo that in git?",
            "implement undo this session feature",
            "the button should not work when offline",
            "没有解决方案就写没有",
            "不用谢",
            "问题解决了一半",
            "太好了！不过还有一个问题",
            "動くようになりましたが、まだ遅いです",
            "おかしな値を弾いて",
            "うまくいかない場合はログを出して",
            "文件名写错了",
            "안 되면 알려줘",
            "문제가 아니에요",
            "완벽하지 않아요",
            "해결되지 않았어요",
            "값을 되돌려주는 버튼을 만들어줘",
        ],
        None,
    );
}

#[test]
fn a_no_to_the_models_own_question_is_an_answer() {
    assert_eq!(word_of("no, leave it", false), Some(Word::Correction));
    assert_eq!(word_of("no, leave it", true), None);
    assert_eq!(word_of("no, that doesn't work", true), Some(Word::Correction));
}

proptest::proptest! {
    #[test]
    fn any_turn_is_read_without_panic(text in "(\\PC|but |但|'|「|」|けど|지만 |, |\\. |\\?|it works|不对|thanks){0,40}") {
        let _ = word_of(&text, false);
    }
}

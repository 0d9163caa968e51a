//! Praise and complaints in Korean.

use super::{Clause, Says, is_condition};

/// Korean statements that it went wrong.
#[rustfmt::skip]
const COMPLAINTS: &[&str] = &[
    "안 돼요", "안돼요", "안 돼", "안돼", "안 됩니다", "안됩니다", "안 되네요", "작동하지 않아요", "작동하지 않습니다",
    "동작하지 않아요", "동작하지 않습니다", "작동하지 않네요", "고쳐지지 않았", "같은 오류가", "같은 에러가", "똑같이 죽",
    "틀렸어요", "틀렸습니다", "틀렸네요", "잘못됐어요", "잘못됐습니다", "잘못되었습니다", "잘못 이해", "잘못 고쳤", "잘못 바꿨",
    "잘못 수정",
];

/// What goes on in spite of the work: a complaint where a trouble follows.
const STILL: &[&str] = &["여전히", "아직도"];

/// Whether a clause says that the work went wrong.
pub(super) fn is_complaint(clause: &Clause<'_>) -> bool {
    let text = clause.text;
    if is_condition(text) || text.contains("라고") {
        return false;
    }
    let troubles = ["안 ", "않", "못", "오류", "에러", "실패", "똑같", "같은", "깨", "문제", "틀"];
    let still = STILL.iter().any(|word| {
        text.find(word).is_some_and(|at| troubles.iter().any(|trouble| text[at + word.len()..].contains(trouble)))
    });
    let denies = ["아니에요", "아닙니다"].iter().any(|word| {
        text.strip_suffix(word)
            .is_some_and(|before| ["", "그게", "그건", "이게", "이건", "그거", "이거"].contains(&before.trim()))
    });
    let yet = ["아직 오류", "아직 에러", "아직 실패", "아직 깨"].iter().any(|words| text.contains(words));
    still || yet || denies || COMPLAINTS.iter().any(|words| text.contains(words))
}

/// Statements that it went well.
#[rustfmt::skip]
const PRAISE: &[&str] = &[
    "완벽", "잘 됩니다", "잘 돼요", "잘됩니다", "잘돼요", "잘 되네요", "해결됐", "해결되었", "수고하셨", "잘 작동", "잘 동작",
    "이제 되네요", "이제 됩니다", "이제 돼요",
];

/// What a clause says of the work where it praises.
pub(super) fn praise(clause: &str) -> Says {
    for words in PRAISE {
        let Some(at) = clause.find(words) else { continue };
        let (before, after) = (&clause[..at], &clause[at + words.len()..]);
        let order = ["는지", "도록", "하게", "하지", "나요", "까", "않", "못", "하는 ", "한 ", "된 ", "되는 "];
        if order.iter().any(|word| after.contains(word)) {
            continue;
        }
        if ["거의", "아직", "안 ", "못", "일부", "반쯤", "대체로", "로컬"].iter().any(|word| before.contains(word))
        {
            return Says::HalfPraise;
        }
        if !["제가", "직접", "만약"].iter().any(|word| before.contains(word)) {
            return Says::Praise;
        }
    }
    Says::Nothing
}

//! Words by which people ask what was: `what did we talk about`, `做了什么`, `何を話した`, `뭐 했지`.
//!
//! A question that has only such words beside a date asks for the date's records, whatever they say.

/// Words of English, folded.
const ENGLISH: &str = "a about accomplish accomplished achieve achieved activities activity afternoon again agree \
    agreed all am an and any anything are around as ask asked asking at back be been before by came can chat chatted \
    chatting come comes conversation conversations could cover covered d day days decide decided decision decisions \
    did discuss discussed discussing discussion discussions do does doing done during else evening event events \
    everything exactly for from get getting give go goes going got had happen happened happening happens has have he \
    her him his how i if in is it its just know learn learned let list ll make made me mention mentioned message \
    messages morning my new night noon of on one or our out overview please progress re recall recap record recorded \
    records remember s said say saying session sessions she show so some something speak spoke summarise summarize \
    summary t talk talked talking talks tell that the their them then there they thing things this those time to told \
    topic topics up update updates us ve was we went were what when where which who will with work worked working \
    would you your";

/// Words and endings of Chinese, Japanese and Korean. A text is covered by them or it is not: `事故` has a character
/// beside `事`, and says something.
const OTHERS: &str = "\
    什么 什麼 甚麼 些 啥 哪些 哪个 哪個 怎么 怎麼 怎么样 怎麼樣 如何 做 干 幹 弄 搞 忙 聊 聊天 谈 談 讨论 討論 说 說 讲 講 提 提到 问 問 发生 發生 \
    事 事情 事儿 工作 内容 內容 话题 話題 对话 對話 会话 會話 记录 記錄 总结 總結 概括 回顾 回顧 进展 進展 情况 情況 决定 決定 完成 处理 處理 \
    告诉 告訴 列出 一下 记得 記得 知道 全部 所有 主要 当天 當天 那天 这天 這天 早上 上午 中午 下午 晚上 夜里 凌晨 大家 一起 \
    了 的 我 你 您 他 她 它 咱 们 們 在 有 没 沒 和 跟 与 與 都 过 過 是 吗 嗎 呢 吧 啊 呀 嘛 就 又 还 還 也 被 把 给 給 请 請 帮 幫 想 到 看 天 \
    何 なに 何か した しました して していた していました やった やって やってた やってました やりました したっけ こと 事 話 話した 話していた 話しました \
    会話 作業 仕事 出来事 あった ありました 起きた 起こった 起きました 決めた 決まった 決めました 決定 相談 聞いた 言った 言いました 教えて \
    ください 下さい まとめ まとめて 要約 一覧 どんな どう だった でした です ます 私 僕 私たち 僕たち 我々 一緒 について 進捗 記録 朝 昼 夜 午前 \
    午後 夕方 すべて 見せて 話し合った 話し合いました 議論 頃 ごろ は が を に の と で も か ね よ っけ \
    뭐 뭘 무엇 무슨 어떤 어떻게 했 하 한 할 해 일 것 거 게 건 얘기 이야기 대화 나눴 나눈 나누 눴 있었 있 우리 저희 내 제 나 너 작업 업무 진행 결정 논의 \
    말 말했 요약 정리 알려 보여 줘 줄래 주 세요 아침 오전 오후 저녁 밤 내용 기록 같이 함께 무엇을 뭐가 \
    지 어 었 았 였 됐 된 되 요 니 까 습 는 은 이 가 을 를 에 에서 도 의 과 와 랑 고 다 던 더 라 죠 서 들 난 냐";

/// A longer text says something: nobody asks what was at such length.
const ASKING_BYTES_MAX: usize = 300;

/// Whether a text has only such words, or none at all.
pub(super) fn only_asks(text: &str) -> bool {
    if text.len() > ASKING_BYTES_MAX {
        return false;
    }
    let folded = text.to_lowercase();
    let mut rest = folded.as_str();
    while let Some(c) = rest.chars().next() {
        let used = match c {
            c if c.is_ascii_alphanumeric() => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                if !ENGLISH.split_ascii_whitespace().any(|word| word == &rest[..end]) {
                    return false;
                }
                end
            }
            c if !c.is_alphanumeric() => c.len_utf8(),
            _ => match covered(rest) {
                Some(end) => end,
                None => return false,
            },
        };
        rest = &rest[used..];
    }
    true
}

/// The bytes of the run of another script that a text begins with, where it is nothing but such words. The longest word
/// that fits need not be the right one: `하는 일` is 하, 는, 일.
fn covered(text: &str) -> Option<usize> {
    let end = text.find(|c: char| c.is_ascii() || !c.is_alphanumeric()).unwrap_or(text.len());
    // Which places of the run can be reached by words that stand one after the other.
    let mut reached = vec![false; end + 1];
    reached[0] = true;
    for at in 0..end {
        if reached[at] {
            let words = OTHERS.split_whitespace().filter(|word| text[at..end].starts_with(word));
            words.for_each(|word| reached[at + word.len()] = true);
        }
    }
    reached[end].then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_asks_is_told_from_what_has_a_subject() {
        for text in [
            "",
            " ?",
            "what did we talk about",
            "what happened on",
            "Anything on?",
            "summary of",
            "做了什么",
            "我们都聊了些什么",
            "干了啥",
            "的工作",
            "は何をした",
            "にやったこと",
            "の作業",
            "뭐 했지",
            "에 한 일",
            "에 뭐 했어",
        ] {
            assert!(only_asks(text), "{text}");
        }
        for text in ["what did we deploy", "部署了什么", "的事故", "的会议", "の会議", "회의", "일정", "redis"]
        {
            assert!(!only_asks(text), "{text}");
        }
    }
}

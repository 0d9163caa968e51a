//! Han characters that are written in several ways: Traditional and Japanese forms and their Simplified ones.

use rustc_hash::FxHashMap;

/// The Simplified form of every character of the basic block that has another one.
///
/// The base is the table of `fast2s`; to it come forms that it only folds in some words, and the Japanese new forms.
/// Following the map once is enough: no value is a key.
pub(super) fn simplified_forms() -> FxHashMap<char, char> {
    let mut forms = FxHashMap::default();
    let mut text = String::new();
    for code in (0x3400u32..0x4DC0).chain(0x4E00..0xA000) {
        let Some(c) = char::from_u32(code) else { continue };
        text.clear();
        text.push(c);
        let simple = fast2s::convert(&text).chars().next().unwrap_or(c);
        if simple != c && (simple as u32) < 0x10000 {
            forms.insert(c, simple);
        }
    }
    for pairs in [ALWAYS, JAPANESE] {
        let mut chars = pairs.chars().filter(|c| !c.is_whitespace());
        while let (Some(from), Some(to)) = (chars.next(), chars.next()) {
            forms.insert(from, to);
        }
    }
    // A chain (a Japanese form whose listed partner is itself folded) is followed to its end.
    let keys: Vec<char> = forms.keys().copied().collect();
    for key in keys {
        let mut end = forms[&key];
        let mut steps = 0;
        while let Some(&next) = forms.get(&end) {
            if next == end || next == key || steps == 8 {
                break;
            }
            end = next;
            steps += 1;
        }
        forms.insert(key, end);
    }
    let ends: Vec<char> = forms.values().copied().collect();
    for end in ends {
        forms.remove(&end);
    }
    forms
}

/// Pairs of a form and its fold that hold in search whatever the word: here one spelling matters more than the
/// distinctions that a converter has to keep.
const ALWAYS: &str = "著着 乾干 於于 瞭了 藉借 夥伙 覆复 麽么 麼么 妳你 祂他 牠它 裏里 裡里 臺台 颱台 週周 係系 繫系 鐘钟 鍾钟 徵征 \
    隻只 祇只 衹只 儘尽 佔占 佈布 採采 恆恒 託托 嚐尝 慾欲 鹼碱 峯峰 羣群 綫线 衆众 牀床 併并 並并 閒闲 余余 佔占 洩泄 餵喂 \
    噹当 甦苏 癥症 吁吁 薰熏 燻熏 彷仿 倣仿 癒愈 豬猪 貓猫 箇个 爲为 僞伪 祕秘 喫吃 啓启 啟启 鉅巨 汙污 汚污 歎叹 炮炮 砲炮 礮炮 \
    滙汇 註注 諮咨 跡迹 蹟迹 遊游 鬥斗 鬦斗 麵面 証证 證证 誌志 佇伫 暱昵 姊姐 嬭奶 妳你 橋桥 痲麻 踪踪 蹤踪 週周 迴回 廻回 \
    兇凶 昇升 陞升 嘆叹 櫃柜 蒐搜 剎刹 硃朱 咀咀 脣唇 糰团 份份 舖铺 鋪铺 疊叠 畫画 計计 劃划 矽硅 燄焰 碁棋 檯台 枱台 檯台 \
    籤签 簽签 製制 捨舍 錶表 髮发 發发 鬚须 須须 鬆松 鬍胡 衚胡 衕同 穫获 獲获 彙汇 匯汇 範范 饑饥 飢饥 薑姜 颳刮 闢辟 \
    濛蒙 懞蒙 矇蒙 鬱郁 籲吁 穀谷 齣出 鹹咸 鹵卤 滷卤 瀰弥 彌弥 醜丑 慼戚 鞦秋 韆千 黴霉 闆板 團团";

/// Japanese new forms whose Simplified partner is written differently, by the shape of the old form that both replace.
const JAPANESE: &str = "亜亚 悪恶 圧压 囲围 医医 壱一 稲稻 飲饮 隠隐 営营 栄荣 衛卫 駅驿 円圆 塩盐 縁缘 艶艳 応应 欧欧 殴殴 桜樱 奥奥 \
    横横 温温 穏稳 仮假 価价 画画 会会 壊坏 懐怀 絵绘 拡扩 覚觉 学学 岳岳 楽乐 渇渴 勧劝 巻卷 歓欢 観观 関关 陥陷 顔颜 気气 \
    帰归 亀龟 偽伪 戯戏 犠牺 旧旧 拠据 挙举 峡峡 挟挟 狭狭 郷乡 暁晓 駆驱 勲勋 薫熏 径径 恵惠 渓溪 経经 継继 茎茎 蛍萤 軽轻 鶏鸡 \
    芸艺 撃击 倹俭 剣剑 圏圈 検检 権权 献献 県县 険险 顕显 験验 厳严 効效 広广 恒恒 鉱矿 号号 国国 黒黑 済济 砕碎 斎斋 剤剂 \
    桟栈 蚕蚕 惨惨 賛赞 残残 糸丝 歯齿 児儿 辞辞 湿湿 実实 写写 釈释 収收 従从 渋涩 獣兽 縦纵 粛肃 処处 緒绪 叙叙 将将 焼烧 称称 \
    証证 乗乘 剰剩 壌壤 嬢娘 条条 浄净 状状 畳叠 縄绳 譲让 醸酿 嘱嘱 触触 寝寝 慎慎 晋晋 真真 尽尽 図图 粋粹 酔醉 穂穗 随随 髄髓 \
    数数 枢枢 声声 斉齐 静静 摂摄 窃窃 専专 戦战 浅浅 潜潜 繊纤 践践 銭钱 禅禅 双双 壮壮 捜搜 挿插 掻搔 争争 総总 聡聪 荘庄 装装 \
    騒骚 増增 臓脏 蔵藏 属属 続续 堕堕 体体 対对 帯带 滞滞 台台 滝泷 択择 沢泽 単单 担担 胆胆 団团 弾弹 断断 痴痴 遅迟 昼昼 虫虫 \
    鋳铸 庁厅 聴听 鎮镇 塚冢 逓递 鉄铁 転转 点点 伝传 灯灯 当当 党党 盗盗 島岛 闘斗 独独 読读 届届 弐二 悩恼 脳脑 覇霸 拝拜 廃废 \
    売卖 麦麦 発发 髪发 抜拔 蛮蛮 秘秘 浜滨 瓶瓶 払拂 仏佛 併并 並并 変变 辺边 弁辩 宝宝 豊丰 褒褒 墨墨 没没 翻翻 毎每 万万 満满 \
    黙默 訳译 薬药 余余 与与 誉誉 揺摇 様样 謡谣 来来 頼赖 乱乱 覧览 竜龙 両两 猟猎 緑绿 塁垒 涙泪 励励 礼礼 隷隶 霊灵 齢龄 \
    暦历 歴历 恋恋 練练 錬炼 炉炉 労劳 楼楼 録录 湾湾 呪咒 浄净 歳岁 歩步 渋涩 頻频 巣巢 徴征 徳德 拝拜 掲揭 捗陟 撹搅 攪搅 鴎鸥 \
    鹸碱 麹曲 麺面 塡填 剥剥 箪箪 頬颊 蝋蜡 蝿蝇 醤酱 隣邻 駄驮 嶋岛 噛啮 嘘嘘 渕渊 淵渊 濱滨 邉边 邊边 桧桧 檜桧 桑桑 笹笹 銀银 \
    戸户 黄黄 涼凉 潟潟 鋭锐 脱脱 説说 税税 悦悦 閲阅 産产 彦彦 郎郎 諸诸 者者 都都 暑暑 署署 著着 煮煮 節节 即即 既既 概概 慨慨 \
    呉吴 娯娱 誤误 虜虏 録录 縁缘 緑绿 剝剥 内内 吞吞 呑吞 稟禀 査查 査查 勾勾 溌泼 繋系 遡溯 餅饼 餌饵 飴饴 鰻鳗 鱒鳟";

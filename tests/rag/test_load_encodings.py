"""Character sets are found out where nothing declares them."""

import pytest

from rag.errors import DamagedDocument
from rag.load import load
from rag.load.charset import one_byte, unmarked_wide
from rag.load.text import decode

TEXTS = {
    "English": "“Don’t worry,” she said — the café’s naïve owner smiled. It cost €5.",
    "German": "Müller wohnt in der Straße 5. Im Frühling blühen die Bäume, und über den Dächern ziehen Vögel.",
    "French": "L'été dernier, nous avons visité le château où la reine était née. Ça a été très agréable.",
    "Spanish": "El niño pequeño corrió rápidamente por la calle. ¿Dónde está mañana la reunión? ¡Qué emoción!",
    "Portuguese": "A situação não é fácil, mas as pessoas estão à procura de soluções. Amanhã haverá uma reunião.",
    "Swedish": "Det är många år sedan vi såg så många fåglar på ön. Hösten är här och löven faller från träden.",
    "Polish": "Zażółć gęślą jaźń. Wczoraj w nocy padał śnieg, a dziś świeci słońce i wszyscy są zadowoleni.",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy. Včera večer pršelo, ale dnes je venku krásně.",
    "Hungarian": "Árvíztűrő tükörfúrógép. Az időjárás ma nagyon szép, és az emberek örömmel sétálnak.",
    "Russian": "Привет, мир! Это текст на русском языке о погоде. Сегодня утром шёл дождь, но днём вышло солнце.",
    "Ukrainian": "Сьогодні вранці йшов дощ, але вдень вийшло сонце. Її їжак їв яблука, і всі були щасливі.",
    "Greek": "Καλημέρα κόσμε. Ο καιρός σήμερα είναι πολύ ωραίος και οι άνθρωποι περπατούν στην πόλη.",
    "Turkish": "Bugün hava çok güzel, güneş parlıyor ve çocuklar bahçede şarkı söylüyor. İstanbul'da yağmur yağdı.",
    "Hebrew": "שלום עולם. היום מזג האוויר יפה מאוד והילדים משחקים בגינה. אתמול ירד גשם כל היום.",
    "Arabic": "مرحبا بالعالم. الطقس اليوم جميل جدا والأطفال يلعبون في الحديقة. أمس هطل المطر طوال اليوم.",
    "Thai": "สวัสดีชาวโลก วันนี้อากาศดีมากและเด็กๆ กำลังเล่นอยู่ในสวน เมื่อวานฝนตกทั้งวัน",
    "Japanese": "これは日本語の文章です。天気がいいですね。昨日は雨が降りましたが、今日は晴れています。",
    "Chinese": "今天天气很好,孩子们在花园里玩耍。昨天下了一整天的雨,但是今天太阳出来了,大家都很高兴。",
    "Taiwanese": "今天天氣很好,孩子們在花園裡玩耍。昨天下了一整天的雨,但是今天太陽出來了,大家都很高興。",
    "Korean": "안녕하세요. 오늘은 날씨가 아주 좋고 아이들이 정원에서 놀고 있습니다. 어제는 하루 종일 비가 왔습니다.",
}
ENCODED = {
    "English": ["cp1252", "mac_roman"],
    "German": ["cp1252", "latin-1", "iso8859-15", "mac_roman", "cp850", "cp437"],
    "French": ["cp1252", "latin-1"],
    "Spanish": ["cp1252", "latin-1"],
    "Portuguese": ["cp1252", "latin-1"],
    "Swedish": ["cp1252", "latin-1"],
    "Polish": ["cp1250", "iso8859-2"],
    "Czech": ["cp1250", "iso8859-2"],
    "Hungarian": ["cp1250", "iso8859-2"],
    "Russian": ["cp1251", "koi8-r", "iso8859-5", "cp866", "mac_cyrillic", "utf-16-le", "utf-16-be", "utf-32-le"],
    "Ukrainian": ["cp1251", "koi8-u"],
    "Greek": ["cp1253", "iso8859-7"],
    "Turkish": ["cp1254", "iso8859-9"],
    "Hebrew": ["cp1255", "iso8859-8"],
    "Arabic": ["cp1256", "iso8859-6"],
    "Thai": ["tis-620"],
    "Japanese": ["shift_jis", "euc_jp", "iso2022_jp", "utf-16", "utf-16-le", "utf-32"],
    "Chinese": ["gb18030", "gbk", "utf-16-be", "utf-32-be"],
    "Taiwanese": ["big5"],
    "Korean": ["euc_kr", "cp949", "iso2022_kr", "utf-16-le"],
}
PAIRS = [(language, encoding) for language, encodings in ENCODED.items() for encoding in encodings]


def lines(language, times, encoding):
    """The text in lines, without the characters that the encoding lacks."""
    return f"{TEXTS[language]}\n".encode(encoding, "ignore").decode(encoding) * times


@pytest.mark.parametrize("times", [1, 20])
@pytest.mark.parametrize(("language", "encoding"), PAIRS)
def test_the_character_set_is_found_out(language, encoding, times):
    text = lines(language, times, encoding)
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("language", ["English", "German", "French", "Spanish", "Portuguese", "Swedish"])
def test_a_few_accents_are_western_ones(language):
    words = TEXTS[language].split()
    for at in range(len(words) - 2):
        text = " ".join(words[at : at + 3])
        assert decode(text.encode("cp1252")) == text


def test_one_odd_byte_does_not_change_the_whole_file():
    text = "Im Frühling blühen die Bäume über der Straße.\n" * 50
    assert decode(text.encode("cp1252") + b"\x81\n").startswith(text)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark_is_no_binary(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(lines("Russian", 3, "utf-8").encode(encoding))
    assert load(path).text == lines("Russian", 3, "utf-8")


@pytest.mark.parametrize(
    "data", [b"\0" * 64, bytes(range(256)) * 8, b"\x7fELF\2\1\1\0" + b"\0\1\2\3" * 60, b"GIF89a\0\0\1\0"]
)
def test_binary_is_no_wide_text(tmp_path, data):
    assert unmarked_wide(data) is None
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(DamagedDocument, match="binary"):
        load(path)


def test_what_fits_no_language_is_left_to_others():
    assert one_byte("日本語の文章です。".encode("shift_jis")) is None

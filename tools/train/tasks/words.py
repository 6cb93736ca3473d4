"""The words the tasks are made of. Most become single pieces of the vocabulary."""

from random import Random

NAMES = """Anna Ben Carl Dora Emma Finn Gina Hugo Iris Jack Kate Leo Mia Nina Omar Paul Rosa Sam Tom Uma
Vera Will Yara Zoe Lily Max Ella Noah Ruby Adam""".split()

COLOURS = "red blue green yellow black white brown pink grey orange".split()

ANIMALS = """fox cat dog bear owl frog horse mouse rabbit wolf tiger lion duck goat sheep bird fish snail
turtle whale""".split()

PLACES = """forest garden village castle river mountain island desert valley harbour market school library
kitchen meadow""".split()

CITIES = """Paris Rome Berlin London Madrid Oslo Cairo Lima Tokyo Beijing Delhi Vienna Athens Dublin Moscow
Lisbon""".split()

THINGS = """apple banana cherry lemon pear grape plum melon bread cheese honey sugar salt milk tea coffee
ball kite drum bell book lamp key box cup plate spoon chair table door window clock ring coin map rope
stone brick sand gold silver iron copper amber glass paper pencil candle basket bottle bucket hammer
needle button ribbon mirror ladder wagon boat ship train plane wheel engine bridge tower tent flag hat
coat shoe glove scarf star moon sun cloud rain snow wind storm leaf tree flower grass seed root hill lake
ocean wave shell feather egg nest hand foot heart head house road field fire water earth winter summer
spring music song dance game story letter number word circle square line dream night morning evening
""".split()

HANZI_THINGS = """苹果 香蕉 西瓜 面包 牛奶 咖啡 书 灯 桌子 椅子 窗户 钥匙 杯子 帽子 鞋子 雨伞 船 火车 飞机 自行车
花 树 草 山 河 海 湖 星星 月亮 太阳 云 雪 风 雨 猫 狗 鸟 鱼 马 羊 牛 兔子 老虎 熊""".split()

HANZI_NAMES = "小明 小红 小华 小丽 小强 小美 小东 小云".split()

HANZI_COLOURS = "红色 蓝色 绿色 黄色 黑色 白色".split()

ENGLISH_WORDS = sorted({*COLOURS, *ANIMALS, *PLACES, *THINGS})
CAPITALISED = [*NAMES, *CITIES]

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def scrambled_word(rng: Random) -> str:
    """Letters no list contains, so that copying cannot rely on known words."""
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(2, 7)))


def number(rng: Random) -> str:
    return str(rng.randint(0, 10 ** rng.randint(1, 4) - 1))


def any_word(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.7:
        return rng.choice(ENGLISH_WORDS)
    if kind < 0.85:
        return rng.choice(CAPITALISED)
    return scrambled_word(rng)


def distinct_words(rng: Random, count: int) -> list[str]:
    chosen: dict[str, None] = {}
    while len(chosen) < count:
        chosen[any_word(rng)] = None
    return list(chosen)

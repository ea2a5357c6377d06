//! The games that ale-py 0.12.1 plays with one player, and the files that it plays them with.
//!
//! Of its 108 files four are left out: Combat, Joust, Maze Craze and Warlords have no game for one.

use std::sync::LazyLock;

use tony_fetch::{Part, Pinned};

/// The version that everything here is made for.
pub const VERSION: &str = "0.12.1";
/// What to type to have it.
pub const FIX: &str = "tony doctor --fix atari";

/// One game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Game {
    /// What ale-py calls it: the name of its file.
    pub rom: &'static str,
    /// The actions that do something in it: bit `i` is action `i` of the console.
    minimal: u32,
    /// Bytes of its file.
    length: u64,
    /// SHA-256 of its file.
    sha256: &'static str,
    /// Does a state that the emulator restores go on exactly? Of these two games it leaves something out.
    pub restores: bool,
}

impl Game {
    /// The field's name for it: `bank_heist` is `BankHeist`.
    pub fn name(&self) -> String {
        let mut name = String::new();
        for c in self.rom.chars().filter(|c| *c != '_').zip(starts(self.rom)) {
            name.push(if c.1 { c.0.to_ascii_uppercase() } else { c.0 });
        }
        name
    }

    /// Frames of an episode that are over before its first action: the console's own opening.
    pub fn opening(&self) -> u32 {
        OPENINGS.iter().find(|(rom, _)| *rom == self.rom).map_or(0, |(_, frames)| *frames)
    }

    /// Codes of the actions that do something in it.
    pub fn codes(&self) -> Vec<u8> {
        (0..18).filter(|code| self.minimal >> code & 1 == 1).collect()
    }
}

/// Of each character that is no underscore: does a word begin with it? Behind a digit one does.
fn starts(rom: &str) -> impl Iterator<Item = bool> {
    let before = std::iter::once('_').chain(rom.chars());
    before.zip(rom.chars()).filter(|(_, c)| *c != '_').map(|(before, _)| !before.is_ascii_alphabetic())
}

/// A file of ale-py.
fn pinned(
    name: &'static str,
    folder: &'static str,
    member: &'static str,
    python: &'static str,
    (length, sha256): (u64, &'static str),
) -> Pinned {
    let parts = vec![Part { package: "ale-py", version: VERSION, member, python }].leak();
    let file = member.rsplit('/').next().unwrap_or(member);
    Pinned { name, folder, file, parts, length, sha256, megabytes: 3, fix: FIX, instead: Some(INSTEAD) }
}

/// What else to type than the fix.
const INSTEAD: &str = "TONY_ALE=/folder/of/an/installed/ale_py";

/// What each Python needs, by the number that ends its tag.
static FILES: LazyLock<Vec<(&'static str, Vec<Pinned>)>> = LazyLock::new(|| {
    // The lists live as long as the program.
    let of = |&(python, length, sha256): &(&'static str, u64, &'static str)| {
        let name: &'static str = format!("ale-py {VERSION} for Python {}.{}", &python[..1], &python[1..]).leak();
        let module = format!("ale_py/_ale_py.cpython-{python}-x86_64-linux-gnu.so").leak();
        let rom = |game: &Game| {
            let name = format!("ROM {}.bin of ale-py {VERSION}", game.rom).leak();
            let member = format!("ale_py/roms/{}.bin", game.rom).leak();
            pinned(name, "ale-py-0.12.1/roms", member, python, (game.length, game.sha256))
        };
        let emulator = [(module as &str, (length, sha256)), (CUDART, CUDART_FILE)];
        let emulator = emulator.map(|(member, file)| pinned(name, "ale-py-0.12.1", member, python, file));
        (python, emulator.into_iter().chain(GAMES.iter().map(rom)).collect())
    };
    PYTHONS.iter().map(of).collect()
});

/// What a Python needs to play all games: the module, the library that the module is linked to, and the games in the order of [`GAMES`].
/// `None` for a Python that ale-py is not made for. `python` is the number of its version, for example `311`.
pub fn files(python: &str) -> Option<&'static [Pinned]> {
    FILES.iter().find(|(known, _)| *known == python).map(|(_, files)| files.as_slice())
}

/// The module for each Python: bytes and SHA-256.
const PYTHONS: [(&str, u64, &str); 5] = [
    ("310", 4_609_553, "e1b3c610af2838caa4c49bb57dfad968bd7d3221ca825f7e9f313480dce256e4"),
    ("311", 4_605_505, "bdfc672975439d2964a9b7b07094b9b362f3230a20004a4a848e47497446d1ef"),
    ("312", 4_601_393, "e3d08ae69719aab113c701f93307ca5dc4b32ffa644ab00885836df1f7747f77"),
    ("313", 4_601_449, "c6e68f06bf2d23f4c6df8758ef28b108978e332cc27dbd91d05c4d12271230dd"),
    ("314", 4_601_449, "b9c810858e2d791eaf51d75cf72fc2057a2191a2e87e19f81657e492896f330d"),
];
/// The module does not load without it, whether there is a GPU or not.
const CUDART: &str = "ale_py.libs/libcudart-09529672.so.12.6.77";
const CUDART_FILE: (u64, &str) = (2_114_921, "7925650bbc31d3c4f5d46c705a09d39289b68ca0880175219961572d3343788a");

const fn game(rom: &'static str, minimal: u32, length: u64, sha256: &'static str) -> Game {
    Game { rom, minimal, length, sha256, restores: true }
}

const fn reloaded(rom: &'static str, minimal: u32, length: u64, sha256: &'static str) -> Game {
    Game { restores: false, ..game(rom, minimal, length, sha256) }
}

/// Games whose episodes do not begin with frame 0.
const OPENINGS: [(&str, u32); 16] = [
    ("air_raid", 8),
    ("backgammon", 2),
    ("basic_math", 5),
    ("berzerk", 20),
    ("crossbow", 8),
    ("double_dunk", 13),
    ("flag_capture", 7),
    ("human_cannonball", 16),
    ("lost_luggage", 38),
    ("name_this_game", 134),
    ("othello", 4),
    ("pacman", 16),
    ("pooyan", 1),
    ("space_war", 5),
    ("surround", 1),
    ("yars_revenge", 7),
];

/// All games, by the names of their files.
pub static GAMES: [Game; 104] = [
    game("adventure", 0x3ffff, 4_096, "64cd3bf23a617fc7c14e3b2075297ae045c712c6218c42564ae77dab672e2826"),
    game("air_raid", 0x0181b, 4_096, "6b5a22ec074a5d870e0693d8717d2f7fbf559ba970995d75882f902bde1d7c9b"),
    game("alien", 0x3ffff, 4_096, "9cd556c7d7f55aeb78fc5add45d74ce889c6e22cba6bb535ef1e8bd6b6c764c1"),
    game("amidar", 0x03c3f, 4_096, "da5b760d3adaeba2cb8fc2367ae96e2b8add4da44cd47199b57ff4d54e682d9f"),
    game("assault", 0x0181f, 4_096, "d32ca4dd9e849af7b776bc73bf464468839ddab66d7e6efacf877fe6eb841dc2"),
    game("asterix", 0x003fd, 8_192, "b6161db0530d8445b5ef0e8b700500531e980aa10184e5196355f27a7ba60819"),
    game("asteroids", 0x0fcff, 8_192, "5ba6f91851b2331a37a3fe6a950c9b464fd764cb035a3d25d4b4388e9b26768f"),
    game("atlantis", 0x01803, 4_096, "cef4b7b91ea245f7827604a1c620a5ca7f94288c2c6b54d90a931de8eeb5227d"),
    game("atlantis2", 0x01803, 4_096, "40d430eddfd294e56fc8ddd4956509244b2902cd14edf23ec0064f9ed5bd73c1"),
    game("backgammon", 0x0001a, 4_096, "2abc8727fe44481528167291d85504c601241fdaa18f7f8038980fc55cce0ed3"),
    game("bank_heist", 0x3ffff, 4_096, "c32daffdb926afaa0b11948c85b0b059e26d29af5f9ce213c439727ccf3f3a8f"),
    game("basic_math", 0x0003f, 2_048, "53ac8db49b0d25b406226fb294acf97027e6d258c7696de90883f708fcb8c66b"),
    game("battle_zone", 0x3ffff, 8_192, "efd6f639e724a771a8331d7f408609d0dc0854533b3163b602720754267943ee"),
    game("beam_rider", 0x018df, 8_192, "83b30cb52649ddf7a5dd6c3336722421aa435e81e0f85913a1011d81e4e6bb38"),
    game("berzerk", 0x3ffff, 4_096, "cdff0422329de6bdf4ab59176e050fd3fa47d329bc0f065768c4d268838a5fd2"),
    game("blackjack", 0x00027, 2_048, "8333eb40ab694f123f4d3335df8fdde4ea0aa1cf2b35ad89a1aa526ec1ae5163"),
    game("bowling", 0x02427, 2_048, "dff44a85289f5e9f760254e4806d09038326cdfc42eba3e1cd7c64ed6e0b4dce"),
    game("boxing", 0x3ffff, 2_048, "462ab7dae012a175763c4ce88ac7a20d23e8fb68b7125e97c474e0696ed40d95"),
    game("breakout", 0x0001b, 2_048, "376323f051c3c373c887fd83abead39d87d844ff283d435f4addbfc1710c6fd5"),
    game("carnival", 0x0181b, 4_096, "80eab759b6bd4fb59e98d4db1295ad89b128a97d2e20ccb212c744ae642c2f76"),
    game("casino", 0x00027, 4_096, "66f671f9bf2df3c970633f8bb59fcccc7d37d1b76febbfeb52ca158fdfb3351d"),
    game("centipede", 0x3ffff, 8_192, "6def669f54bd886f43026e7fc7f82b9acb92680bb3e3aa68da3767f8797c8cbe"),
    game("chopper_command", 0x3ffff, 4_096, "055637282252b5378a2b7df573726e85afa91264ffb7243d23fab9518b3c207d"),
    game("crazy_climber", 0x003fd, 8_192, "486ad4cc89569d797dc5feff6e95d1d5f5f8e78331a4925ef3126bd2aa1bcf09"),
    game("crossbow", 0x3ffff, 16_384, "c9213e2af893dfc58ef99eb9b82dfbdd4c1cdcf81065db46ab83089a6dbb8683"),
    game("darkchambers", 0x3ffff, 16_384, "40888877f273b7d6781f2dd6e019fa2e5b811a4adea2ae281a04b36b9e5657a4"),
    game("defender", 0x3ffff, 4_096, "e3c7ed7a073fe8f4b2711bebd624d0b249957daa0ebb93d78823fe36b235ba8c"),
    game("demon_attack", 0x0181b, 4_096, "8d72feeb267d23cb5d58bb4511566414884c572d2b4dcba8f6893ad7426442d4"),
    game("donkey_kong", 0x3ffff, 4_096, "538e271407e649e18634d30d136b452ccbf6741fa800e7af8d46d4bdd57aead1"),
    game("double_dunk", 0x3ffff, 16_384, "c0ea53a91a396638662e2d37261407d6bc9d1b1f660e3101b2098d7ef2bc3190"),
    game("earthworld", 0x3ffff, 8_192, "5c39844ffcdbe0cb1765277d3479a0ec4f5d86a995d9c73101d53c151e822481"),
    game("elevator_action", 0x3ffff, 8_192, "f3b3ad03fd8cf9f348d31c1343580a7a9220d1f06c193165df277e47757a8846"),
    game("enduro", 0x01b3b, 4_096, "6045c8be78c7d0bec29040022543a8c0b9e3672b50005a94bf0166f0f73be3d9"),
    game("entombed", 0x3ffff, 4_096, "0df632c6ceaab13047770d68c65a7e8375cbaedda12b70574d14ca908bb7210b"),
    game("et", 0x3ffff, 8_192, "e9539483b4f51853888cc5db075eb0155bbb2e6c016a3e6eadd6f19fc1fa0947"),
    game("fishing_derby", 0x3ffff, 2_048, "84753bc6ecb4dd9f47cd267f1fb15e16b18f7b2b54fbb4ea8207750009171cc1"),
    game("flag_capture", 0x3ffff, 2_048, "715f5a01788d83a8ae5e5d11959fdbfbf7e94cc156b1a58979a54269b35f3a0b"),
    game("freeway", 0x00025, 2_048, "3ef620234b98f22bfd7c06d2467bac9d208e763c9f4309452384d59a741ba893"),
    game("frogger", 0x0003d, 4_096, "63e0229b80f871c6fdda8ba389583451cd5cd54be07ca32560edb752280ae04b"),
    game("frostbite", 0x3ffff, 4_096, "cbfdad89480def69d922adf16a1d89d55a6cb515929edf74e5bea884c9fb7834"),
    game("galaxian", 0x0181b, 8_192, "157835de83ddfb0008d96ea50ed2d143cbece4ab1b10cfd5050ab91adf34be47"),
    game("gopher", 0x01c1f, 4_096, "b4aff03aeb0fb1c8f4914b5a329f51430f00a2d9350aba24573ad78032dd4697"),
    game("gravitar", 0x3ffff, 8_192, "17a19cd7b5cae2b85f3a51fd10e92e141341f3e4238e9ea641cb97656a3ed0a0"),
    game("hangman", 0x3ffff, 4_096, "412d5491cf02946e49139e4a435faea14c1678c1c53db1c5def224193be47ad5"),
    game("haunted_house", 0x3ffff, 4_096, "c70550e8bcf6322259104a7e7f7147598a7ed5915f23af05bf78aefb842c06cf"),
    game("hero", 0x3ffff, 8_192, "75bd02ec75458ea4bc2cba9b85bb281c3f9da106123e4600b054f0934e36b81f"),
    game("human_cannonball", 0x3ffff, 2_048, "fd6a367a69046ac14f89c6dbd78fc9076666528844735184a59f0def0843f0a7"),
    game("ice_hockey", 0x3ffff, 4_096, "fc8b861d9cf9c9d5f7f7677f22b39d512d249697b69c1e7dcf238c5dc8f44b60"),
    game("jamesbond", 0x3ffff, 8_192, "995253f0d3a2fac712c6ee3518f19fc5e6a8c800e2fd8dbfe49d45ad367a231f"),
    game("journey_escape", 0x3fbfd, 4_096, "963e2d3da52b6ccaff08c833b2d2cb0329a9b9d5f6b3265fcfd7e0830b914df0"),
    game("kaboom", 0x0001b, 2_048, "21363eb5ea5ce8fde85942948212f0ebca62ddd75d9d92238f989ddf8e8de308"),
    game("kangaroo", 0x3ffff, 8_192, "a2826eaea3a854b63b4ca1d7423f1b3347311e0552c6b1f35065e50b2cbca523"),
    game("keystone_kapers", 0x03fff, 4_096, "b3b4ba5ceb4a4358060d9f0eab863de4cb9d42f8acfa1b9556506cc853442c04"),
    game("king_kong", 0x0003f, 4_096, "b20ee04f8aaf97d54ce4b27210450849b9524b1bed46f1b5fb173dbed16e8b90"),
    game("klax", 0x3ffff, 16_384, "5f77bc58511168ea5ee8eba1561fd9bf85581f6932b04cbbccd460c0177027c5"),
    game("koolaid", 0x003fd, 4_096, "727593fbc0813d563b29bac8712b7b40386db1c372fca3696125bdb6f0f137bd"),
    game("krull", 0x3ffff, 8_192, "b40f10d14217093082b00b302bff8c6faa0d64c5221e9be36ea0ceb12477517a"),
    game("kung_fu_master", 0x3fb3d, 8_192, "3f6501a649ad83e970a25827bd492c56128c36535ae2c96f94bab39b27f939ac"),
    game("laser_gates", 0x3ffff, 4_096, "af693433df2eca90648b7015dafe9f9c72d603c5c91d980bf196fe3091903619"),
    game("lost_luggage", 0x003fd, 4_096, "89996e2e13a5674b2aa27a5697fa9d89e1cb33cde0ff26c17f683ebd1e3e9835"),
    game("mario_bros", 0x3ffff, 8_192, "dc6d9c67879275520a914901e9bd135ac5b4da80ae949ac5333789267348e307"),
    game("miniature_golf", 0x3ffff, 2_048, "08c03c9ff0b188c20cd0c9d902c5af1c15a3ae1f39a8978f69ab697ae3e63be4"),
    game("montezuma_revenge", 0x3ffff, 8_192, "69d363a747549817599cace65572700dab9ea33f3a5f91979454fdfbeaa837c0"),
    game("mr_do", 0x03c3f, 8_192, "fe1d3215848ae6d6abca0594c87e088d837b88bde36f64e3269a8e503f6231ef"),
    game("ms_pacman", 0x003fd, 8_192, "dde0b43c5dee7ce1a35ac8e2f625b32a16118512d9be4064115053b972280b14"),
    game("name_this_game", 0x0181b, 4_096, "cc219a7246e8f9454f3bd77345b388fbc2c7343e4ea0c4c864a2eb9b0481882a"),
    game("othello", 0x003ff, 2_048, "4e3d9e592c0f5513377944001f78f27bba14c86e2582bfd0be4c6f1dba3ac6cf"),
    game("pacman", 0x0003d, 4_096, "e80f4cab17f835b2227a4ce19d3560b10007d2527f6c75e2e31e486a89a1fa07"),
    game("phoenix", 0x0383b, 8_192, "b01085bc5227a04b974846fe06b4018da84fd3e40ac6d1368f7f6bc07c336dfd"),
    game("pitfall", 0x3ffff, 4_096, "c56c99d9e00136a015a485851e0e925c6327ea2b20aa7d3daecfbd7f9afcfdf0"),
    game("pitfall2", 0x3ffff, 10_495, "6755784f8f526e33b155e2c3e99e5da14ada6c53e3f203b21a8bb140118d8251"),
    game("pong", 0x0181b, 2_048, "41623e3c26148f96cbe77d56512845d224a63c8fe5bf90e38527155e39ec96d3"),
    game("pooyan", 0x02427, 4_096, "ac9abbfc272deb0305451afa3d5cd58849684691cfa25cede01251fab36c131b"),
    game("private_eye", 0x3ffff, 8_192, "c8f9ce1b2e804b6778dbc20da0c935b2af7d7e998ad372d44df66f16eb4b98ce"),
    reloaded("qbert", 0x0003f, 4_096, "3257221832a7607696b06b9985103c12a4c24c61b0c655e8f52aed8e38194b76"),
    game("riverraid", 0x3ffff, 4_096, "4c6842b8af64fc75e599b773821b3e6bee8e5028f5d63414821b0d63f0b2dfe9"),
    game("road_runner", 0x3ffff, 16_384, "4b6c2e68d6933b8bc79983f6a3bb11bda695b5dfbeeb8fd63d84406ba3f27b5a"),
    game("robotank", 0x3ffff, 8_192, "c186409481e688401c8a7a9d5f0387ed448d18e297e287fd7c409752fa9a2a0d"),
    game("seaquest", 0x3ffff, 4_096, "fbc29f4678f69ac27fe46da298c8c22f98cba2a3e5491e6b308fd9bf68d2ee43"),
    game("sir_lancelot", 0x0181b, 8_192, "a0387e796553b0abf0e171f249ec36f0f17dded4a443a45ccecd20cea8e94fe4"),
    game("skiing", 0x00019, 2_048, "e8a96a74c05493c5394a097deb7dc339a0cf37fe373d93e4c19f9e6884eff36c"),
    game("solaris", 0x3ffff, 16_384, "0afa36e5f4d8d77e38716673c96cda3ad11d421283f5a5ae77ec7a01e7718a4e"),
    game("space_invaders", 0x0181b, 4_096, "7224b17462b992d67f4e06a3c85f269c9822b06df6015bf038b55f384ced0301"),
    game("space_war", 0x3ffff, 2_048, "b03b9d40b62ba6c5e19c9e48aa185d691e3fbb3995d16c1b489a413ab9599d1b"),
    game("star_gunner", 0x3ffff, 4_096, "3ad501a39280de82bd604c6d8ae915fe93c1e6ebfd97685ab097c5dbef9822c3"),
    game("superman", 0x3ffff, 4_096, "77d23f2691216662728eb630ba0936384ea94a81d41047592d27fee12210b233"),
    game("surround", 0x0003d, 2_048, "4f157433275f3ffe451617f2dbae1141bf601b018162c80217efb543268af6c5"),
    game("tennis", 0x3ffff, 2_048, "b829e42751fcbc93ad7be8c6bd41e00083aad74d1f9f869f40898d21fb34133b"),
    reloaded("tetris", 0x0003b, 2_048, "36d5b5d3222f007ca8e3691cfc17f639801453b98438b1282dfd695ae44752f6"),
    game("tic_tac_toe_3d", 0x003ff, 2_048, "11a486ccc36d81d435d97d50331cebbe7d62e3cfcdd582fed6e5c5b7cc5e0607"),
    game("time_pilot", 0x03c3f, 8_192, "8ea97e335a2fb122faa591a86e695de1eddb88e9370d3ead6e82d308f6e81c7d"),
    game("trondead", 0x3ffff, 4_096, "ec88c49e99749628990f07e03452032f8e0b405a26ca6ab3edcb4d4e12d6f1fb"),
    game("turmoil", 0x01bff, 4_096, "a45bc90a4213d1cd1ab4ffb6e253e7b6eaa739d99f5adbfc88ee580096e8171f"),
    game("tutankham", 0x01c3d, 8_192, "403397fe85838ebc94bf063e63756b7656b9c962b9c6392b991d37ef4ad4a3d4"),
    game("up_n_down", 0x02427, 8_192, "74890a43e59134ea88e0a3aa6cae91615299cc41d74a464e0e31070d5d36062c"),
    game("venture", 0x3ffff, 4_096, "5cdd323b8f817cc5d953910db97c20d9b7203316a8996663fdc953f2e29ee80e"),
    game("video_checkers", 0x003c2, 4_096, "f69513587548df47060f670c2be8f268942cd673e7de87f2a66c09460276a80b"),
    game("video_chess", 0x003ff, 4_096, "d44f2a115393b0a6cbcd5398d62369e652f3670a9ee585883d183e740edad0f7"),
    game("video_cube", 0x3ffff, 4_096, "141adf0b7c8916ab616eecbc14ef05333382eb236fa061926ecaea344f1eae98"),
    game("video_pinball", 0x01c3f, 4_096, "6385d230348f137232ff1ec9722261a9b4d91af89ae68c68036d3f4d0bfee19c"),
    game("wizard_of_wor", 0x03c3f, 4_096, "d69ee89e65c34cd3152d98d778de913dd7f59e7309f2bcbd3ebead585065e747"),
    game("word_zapper", 0x3ffff, 4_096, "214d9eb42bcd0a7430c8f41f5c1db26fb23015e09c70650e7c461854e63d30d3"),
    game("yars_revenge", 0x3ffff, 4_096, "ff777c8d4ea06569156fcb2f5ba0e00eebaf2c2c509e5829109e5aefed199c66"),
    game("zaxxon", 0x3ffff, 8_192, "e1c323ce00cccdd4bc737fd44abcef35b24fee04fd90bf9c9374e18b3b2ae6bf"),
];

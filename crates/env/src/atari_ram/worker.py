"""Plays Atari games for another process: commands on standard input, answers on standard output.

Argument: the file of the compiled module of ale-py, which is GPL-2.0 and stays in this process.

A command is 12 bytes, `op, a, -, -, slot (u32), n (u32)`, and n bytes; an answer is the same, with a kind for `op`. Commands are carried
out in their order, so many can wait at once. The process ends when its standard input does.
"""

import importlib.util
import os
import signal
import struct
import sys
import time

HEAD = struct.Struct("<BBxxII")
# Reward, lives, frame of the episode; the memory follows.
ROW = struct.Struct("<BBxxIIiii")
AGAIN = 255


class End(Exception):
    """Nobody asks any more."""


class Game:
    """One emulator, and the row that it answers with."""

    def __init__(self, module, slot, rom, exact, skip):
        self.rom, self.exact, self.slot, self.skip = rom, exact, slot, skip
        self.ale = module.ALEInterface()
        # Nothing of an episode is left to chance, so the emulator's seed is never drawn from.
        self.ale.setFloat("repeat_action_probability", 0.0)
        self.answer = bytearray(ROW.size + 128)
        self.memory = memoryview(self.answer)[ROW.size :]
        self.load()
        self.start = self.ale.cloneState() if exact else None
        self.fresh = True

    def load(self):
        self.ale.loadROM(self.rom)
        self.ale.reset_game()

    def reset(self):
        """The state after loading: restored, which takes a thousandth of the time, where that is exact."""
        if self.fresh:
            self.fresh = False
        elif self.exact:
            self.ale.restoreState(self.start)
        else:
            self.load()

    def row(self, reward):
        ale = self.ale
        ale.getRAM(self.memory)
        over = ale.game_over(with_truncation=False)
        ROW.pack_into(self.answer, 0, 1, over, self.slot, 140, reward, ale.lives(), ale.getEpisodeFrameNumber())
        return self.answer

    def play(self, codes):
        """All of these actions; the reward of the last. AGAIN starts the next episode as the console does, without loading."""
        act, reward = self.ale.act, 0
        for code in codes:
            reward = 0
            if code == AGAIN:
                self.ale.reset_game()
                continue
            for _ in range(self.skip):
                reward += act(code)
        return reward

    def screen(self):
        """Height and width, the pixels' colour numbers, and the colour of each number that is there."""
        height, width = self.ale.getScreenDims()
        pixels, colours = bytearray(height * width), bytearray(3 * height * width)
        self.ale.getScreen(memoryview(pixels).cast("B", (height, width)))
        self.ale.getScreenRGB(memoryview(colours).cast("B", (height, width, 3)))
        palette = bytearray(768)
        for number in set(pixels):
            at = 3 * pixels.index(number)
            palette[3 * number : 3 * number + 3] = colours[at : at + 3]
        return struct.pack("<HH", height, width) + pixels + palette

    def bare(self, codes):
        """The plain loop that no driver is faster than: seconds for the actions, one after the other."""
        ale, act, memory, skip = self.ale, self.ale.act, self.memory, self.skip
        start = time.perf_counter()
        for code in codes:
            for _ in range(skip):
                act(code)
            ale.getRAM(memory)
            if ale.game_over(with_truncation=False):
                self.reset()
        return time.perf_counter() - start


def say(kind, a, slot, data):
    write(HEAD.pack(kind, a, slot, len(data)) + data)


def write(data):
    data = memoryview(data)
    while data:
        data = data[os.write(1, data) :]


def other(module, games, op, a, slot, data):
    """Whatever is no step."""
    if op == ord("m"):
        rom, exact, skip = data[2:].decode(), bool(data[0]), data[1]
        games[slot] = Game(module, slot, rom, exact, skip)
        return
    if op == ord("d"):
        games.pop(slot, None)
        return
    game = games[slot]
    if op == ord("p"):
        game.reset()
        write(game.row(game.play(data)))
    elif op == ord("f"):
        say(2, 0, slot, game.screen())
    elif op == ord("b"):
        say(3, 0, slot, struct.pack("<d", game.bare(data)))
    else:
        raise ValueError(f"no command {op}")


def serve(module):
    games, data, at = {}, b"", 0
    unpack, size, step = HEAD.unpack_from, HEAD.size, ord("s")

    def more(needed):
        nonlocal data, at
        data, at = data[at:], 0
        while len(data) < needed:
            read = os.read(0, 1 << 16)
            if not read:
                raise End
            data += read

    while True:
        if len(data) - at < size:
            more(size)
        op, a, slot, n = unpack(data, at)
        if op == step:
            at += size
            game = games[slot]
            act, reward = game.ale.act, 0
            for _ in range(game.skip):
                reward += act(a)
            write(game.row(reward))
            continue
        if len(data) - at < size + n:
            more(size + n)
        payload = data[at + size : at + size + n]
        at += size + n
        other(module, games, op, a, slot, payload)


def main():
    # Who stops the training stops it, not its workers: they end with their standard input.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    spec = importlib.util.spec_from_file_location("_ale_py", sys.argv[1])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ALEInterface.setLoggerMode(module.LoggerMode.Error)
    say(0, 0, 0, module.__version__.encode())
    try:
        serve(module)
    except (End, BrokenPipeError):
        pass


main()

"""A terminal of 120 by 40 with a program in it, driven as a person would: by what stands on it, and by keys."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

# Sequences that colour, place or name; what is left is what is printed.
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_=>()][0-9A-B]?")
PATIENCE = 60


class Terminal:
    def __init__(self, arguments, env, folder):
        self.printed = ""
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(arguments[0], arguments, env)
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.screen)

    def reads(self, seconds):
        """What is printed until nothing came for so long."""
        came = b""
        while select.select([self.screen], [], [], seconds)[0]:
            try:
                piece = os.read(self.screen, 65536)
            except OSError:
                break
            if not piece:
                break
            came += piece
        self.printed += CONTROL.sub("", came.decode(errors="replace"))
        return came

    def shows(self, words, since=0):
        """Whether the words were printed. Programs place words by moving the cursor, so spaces do not count."""
        return "".join(words.split()) in "".join(self.printed[since:].split())

    def types(self, text):
        os.write(self.screen, text.encode())
        self.reads(0.5)
        os.write(self.screen, b"\r")

    def waits_for(self, words):
        until = time.monotonic() + PATIENCE
        while not self.shows(words):
            assert time.monotonic() < until, self.printed[-4000:]
            self.reads(0.2)

    def answers(self, questions, until):
        """Answers each question once, as it comes up, till the words are there."""
        end = time.monotonic() + PATIENCE
        left = dict(questions)
        while not self.shows(until):
            assert time.monotonic() < end, self.printed[-4000:]
            self.reads(0.5)
            for question in [question for question in left if self.shows(question)]:
                for key in re.findall(r"\x1b\[.|.", left.pop(question), re.DOTALL):
                    os.write(self.screen, key.encode())
                    self.reads(0.3)

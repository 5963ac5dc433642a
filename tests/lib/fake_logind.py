#!/usr/bin/python3
"""A logind that a test can command: on the bus at DBUS_SYSTEM_BUS_ADDRESS it gives "delay" locks and, told `sleep` or
`wake` on stdin, sends PrepareForSleep. It prints `ready`, and `locked` and `released` as its locks come and go."""

import os
import sys

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

NAME, PATH, MANAGER = "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager"


def say(word):
    print(word, flush=True)


class Logind(dbus.service.Object):
    @dbus.service.method(MANAGER, in_signature="ssss", out_signature="h")
    def Inhibit(self, what, who, why, mode):
        assert (what, mode) == ("sleep", "delay"), (what, mode)
        ours, theirs = os.pipe()
        GLib.io_add_watch(ours, GLib.IO_HUP, self.released)
        say("locked")
        lock = dbus.types.UnixFd(theirs)
        os.close(theirs)
        return lock

    @dbus.service.signal(MANAGER, signature="b")
    def PrepareForSleep(self, start):
        pass

    @staticmethod
    def released(fd, condition):
        os.close(fd)
        say("released")
        return False


def main():
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    name = dbus.service.BusName(NAME, bus)
    logind = Logind(bus, PATH)
    loop = GLib.MainLoop()

    def commanded(fd, condition):
        word = sys.stdin.readline().strip()
        if not word:
            loop.quit()
            return False
        logind.PrepareForSleep(word == "sleep")
        return True

    GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_IN | GLib.IO_HUP, commanded)
    say("ready")
    loop.run()
    del name


main()

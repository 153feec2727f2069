"""The window manager: a stack of screens, what is touched on the uppermost, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentgym.core.errors import did_you_mean
from agentgym.environments.phone.actions import Command, Refusal
from agentgym.environments.phone.app import LONGEST_TEXT, App, Context, Frame, Gone
from agentgym.environments.phone.store import Store
from agentgym.environments.phone.ui.layout import STATUS_HEIGHT, Layout, cover_bar, lay_out, page_back
from agentgym.environments.phone.ui.listing import Listing, read_screen
from agentgym.environments.phone.ui.node import SCREEN, Node
from agentgym.environments.phone.ui.widgets import Icon, Item, Screen

DEEPEST = 24
"""Screens on the stack; beyond, the lowest ones are forgotten."""


@dataclass(slots=True)
class Scene:
    """What is on the screen now."""

    context: Context
    screen: Screen
    layout: Layout
    listing: Listing

    @property
    def root(self) -> Node:
        """The view hierarchy."""
        return self.layout.root


class Device:
    """A phone with applications over a store. Implements what screens may do (`agentgym.environments.phone.app.Phone`)."""

    def __init__(self, apps: Sequence[App], store: Store, today: str, clock: str) -> None:
        self.apps = {app.name: app for app in apps}
        self.store = store
        self.today = today
        self.clock = clock
        self.stack = [Frame("home", "main")]
        self.message = ""
        """What the phone, or the one who refuses an action, says about the last one."""
        self.banner = 0
        """Id of the notification that covers the bar; 0 for none."""
        self._scene: Scene | None = None
        self._gestures: Mapping[str, Callable[[Command], None]] = {
            "tap": self._tap,
            "long_press": self._long_press,
            "swipe": self._swipe,
            "type": self._type,
            "back": self._back,
            "home": self._home,
            "open_app": self._open_app,
            "wait": self._wait,
        }

    # --- what is shown ------------------------------------------------------------------------------

    @property
    def top(self) -> Frame:
        """The screen that is shown."""
        return self.stack[-1]

    @property
    def scene(self) -> Scene:
        """The screen that is shown, as nodes and text. Screens of what is gone are closed on the way."""
        while self._scene is None:
            try:
                self._scene = self._draw(self.top)
            except Gone:
                self.pop()
                self.message = self.message or "It is no longer there"
        return self._scene

    def below(self) -> Node | None:
        """Return the hierarchy of what lies dimmed below a dialog; None where the whole screen is covered."""
        if not self.scene.screen.dialog:
            return None
        for frame in reversed(self.stack[:-1]):
            try:
                scene = self._draw(frame)
            except Gone:
                continue
            if not scene.screen.dialog:
                return scene.root
        return None

    def _draw(self, frame: Frame) -> Scene:
        context = Context(self, frame)
        screen = self.apps[frame.app].screens[frame.screen](context)
        layout = lay_out(screen, f"gym.phone.{frame.app}", f"{self.today} {self.clock}", frame.first)
        frame.first = layout.first
        if self.banner:
            self._cover(layout)
        return Scene(context, screen, layout, read_screen(layout.root))

    def _cover(self, layout: Layout) -> None:
        """Put the banner of a notification where the bar is."""
        row = self.store.row("notifications", self.banner)
        if row is None:
            return
        note = Item(f"{row['app']}: {row['title']}", row["text"], lambda: self.open(row["app"]))
        dismiss = Icon("Dismiss", self.uncover)
        cover_bar(layout, note, dismiss)

    # --- what screens do ----------------------------------------------------------------------------

    def push(self, frame: Frame) -> None:
        """Show another screen above; where it is for typing, its first empty field, or else its first, has the focus."""
        self.stack.append(frame)
        del self.stack[1 : max(1, len(self.stack) - DEEPEST)]
        self._scene = None
        scene = self.scene
        if scene.screen.typing:
            context = scene.context
            context.frame.focus = _first_empty(context, 0) or next(iter(context.initial), "")
            self._scene = None

    def pop(self, frames: int = 1) -> None:
        """Close screens, from the top; the home screen stays."""
        del self.stack[max(1, len(self.stack) - frames) :]
        self._scene = None

    def open(self, app: str) -> None:
        """Start an application, from the home screen."""
        self.uncover()
        self.pop(len(self.stack))
        self.push(Frame(app, "main"))

    def installed(self) -> list[App]:
        """Return the applications that the home screen shows: those with a colour."""
        return [app for app in self.apps.values() if app.tint]

    def cover(self, notification: int) -> None:
        """Show a notification's banner over the bar."""
        self.banner = notification
        self._scene = None

    def uncover(self) -> None:
        """Take the banner away."""
        self.banner = 0

    def say(self, message: str) -> None:
        """Show a message for a moment."""
        self.message = message

    # --- what is done -------------------------------------------------------------------------------

    def do(self, command: Command) -> None:
        """Carry out an action that is not about the episode; raises `Refusal` where it cannot be done."""
        self.message = ""
        self._gestures[command.verb](command)
        self._scene = None

    def _tap(self, command: Command) -> None:
        node, (x, _) = self._touched(command)
        if node.is_slider and node.on_slide is not None:
            node.on_slide((x - node.bounds.left) / (node.bounds.right - node.bounds.left))
        elif node.on_tap is not None:
            node.on_tap()
        else:
            raise Refusal("That can be held, but tapping does nothing.")

    def _long_press(self, command: Command) -> None:
        node, _ = self._touched(command)
        if node.on_hold is None:
            raise Refusal("Holding that does nothing.")
        node.on_hold()

    def _swipe(self, command: Command) -> None:
        point = None if command.target is None else self.scene.listing.point(command.target, SCREEN)
        if point is not None and point[1] < STATUS_HEIGHT and command.direction == "down":
            return self.push(Frame("system", "shade"))
        node = None if point is None else _element_at(self.scene.root, point)
        if node is not None and node.is_slider and node.on_slide and command.direction in ("left", "right"):
            step = 0.1 if command.direction == "right" else -0.1
            share = int(node.text) / 100 + step
            if command.end is not None:
                share = (command.end[0] - node.bounds.left) / (node.bounds.right - node.bounds.left)
            return node.on_slide(min(max(share, 0.0), 1.0))
        return self._scroll(command.direction)

    def _scroll(self, direction: str) -> None:
        scene, layout = self.scene, self.scene.layout
        if direction == "up" and layout.more_below:
            self.top.first = layout.first + layout.shown
        elif direction == "down" and layout.more_above:
            self.top.first = page_back(scene.screen, layout)
        else:
            raise Refusal(f"There is nothing to swipe {direction}.")

    def _type(self, command: Command) -> None:
        if len(command.text) > LONGEST_TEXT:
            raise Refusal(
                f"A field takes {LONGEST_TEXT} characters at most; this text has {len(command.text)}."
            )
        if command.target is not None:
            node, _ = self._touched(command)
            if not node.is_field or node.on_tap is None:
                raise Refusal("That is no field to type in.")
            node.on_tap()
        frame, context = self.top, self.scene.context
        if frame.focus not in context.initial:
            raise Refusal("No field has the focus: tap one first, then type.")
        if command.text == context.initial[frame.focus]:
            frame.fields.pop(frame.focus, None)
        else:
            frame.fields[frame.focus] = command.text
        labels = list(context.initial)
        frame.focus = _first_empty(context, labels.index(frame.focus) + 1) or frame.focus

    def _back(self, command: Command) -> None:
        if len(self.stack) == 1:
            raise Refusal("This is the home screen: there is nothing to go back to.")
        self.pop()

    def _home(self, command: Command) -> None:
        if len(self.stack) == 1:
            raise Refusal("This is the home screen already.")
        self.pop(len(self.stack))

    def _open_app(self, command: Command) -> None:
        known = {app.name.casefold(): app.name for app in self.installed()}
        name = known.get(command.text.casefold())
        if name is None:
            guess = did_you_mean(command.text[:40], known.values())
            raise Refusal(f"No application is called {command.text[:40]!r}.{guess}")
        self.open(name)

    def _wait(self, command: Command) -> None:
        """Nothing happens on its own here."""

    # --- where --------------------------------------------------------------------------------------

    def _touched(self, command: Command) -> tuple[Node, tuple[int, int]]:
        target = command.target
        if target is None:
            raise Refusal(f"`{command.verb}` needs an element or a point.")
        point = self.scene.listing.point(target, SCREEN)
        node = _element_at(self.scene.root, point)
        if node is None:
            raise Refusal(f"There is nothing to touch at {point[0]} {point[1]}.")
        return node, point

    def admissible(self) -> list[str]:
        """Return every action that would do something now, but `type` with each of all texts."""
        listing, layout = self.scene.listing, self.scene.layout
        actions: list[str] = []
        for element in listing.elements:
            if element.node.is_slider:
                actions += [listing.command(f"swipe {way}", element) for way in ("left", "right")]
            elif element.node.clickable:
                actions.append(listing.command("tap", element))
            if element.node.long_clickable:
                actions.append(listing.command("long_press", element))
        actions += ["swipe up"] if layout.more_below else []
        actions += ["swipe down"] if layout.more_above else []
        actions += ["back", "home"] if len(self.stack) > 1 else []
        return actions + [f"open_app {app.name}" for app in self.installed()]

    # --- saving -------------------------------------------------------------------------------------

    def interface(self) -> str:
        """Return the stack and what lies over it, as JSON; equal exactly where screens are equal."""
        _ = self.scene  # closes what is gone, and settles where lists are scrolled to
        return json.dumps([[frame.as_json() for frame in self.stack], self.banner], sort_keys=True)

    def load(self, interface: str) -> None:
        """Go back to a saved `interface`; the store is loaded apart."""
        stack, self.banner = json.loads(interface)
        self.stack = [Frame.from_json(frame) for frame in stack]
        self.message = ""
        self._scene = None


def _first_empty(context: Context, start: int) -> str:
    """Return the label of the first field from `start` with nothing in it; empty where there is none."""
    return next((label for label in list(context.initial)[start:] if not context.typed(label)), "")


def _element_at(root: Node, point: tuple[int, int]) -> Node | None:
    """Return the uppermost element at a point: the last one drawn."""
    found = None
    for node in root.walk():
        if node.is_element and node.bounds.holds(*point):
            found = node
    return found

"""What the travel desk can do."""

from __future__ import annotations

from agentgym.environments.backoffice.calculator import calculate
from agentgym.environments.backoffice.desk import Desk, Refused, Row, cents, figure, shown
from agentgym.environments.backoffice.toolbox import AMOUNT, DAY, TEXT, WHOLE, Tool, one_of, tool
from agentgym.environments.backoffice.travel.data import TODAY, TOWNS

_TOWN = one_of(*TOWNS)


@tool(email=TEXT)
def find_customer(desk: Desk, email: str) -> Row:
    """Find a customer by mail address."""
    found = desk.rows("SELECT id, name, tier FROM customers WHERE email = ?", email.strip().lower())
    if not found:
        raise Refused(
            f"No customer has the mail address {email!r}. Ask for the address that the account was made with."
        )
    return found[0]


@tool(customer_id=TEXT)
def get_customer(desk: Desk, customer_id: str) -> Row:
    """Show a customer."""
    return desk.one("customers", customer_id)


@tool(customer_id=TEXT)
def list_bookings(desk: Desk, customer_id: str) -> list[Row]:
    """List a customer's flights."""
    desk.one("customers", customer_id)
    return desk.rows("SELECT id, flight, status FROM bookings WHERE customer = ? ORDER BY id", customer_id)


@tool(customer_id=TEXT)
def list_stays(desk: Desk, customer_id: str) -> list[Row]:
    """List a customer's hotel stays."""
    desk.one("customers", customer_id)
    found = desk.rows(
        "SELECT id, hotel, arrives, nights, status, paid FROM stays WHERE customer = ? ORDER BY id",
        customer_id,
    )
    return [shown(row, "paid") for row in found]


@tool(booking_id=TEXT)
def get_booking(desk: Desk, booking_id: str) -> Row:
    """Show a booking."""
    return shown(desk.one("bookings", booking_id), "paid")


@tool(flight_id=TEXT)
def get_flight(desk: Desk, flight_id: str) -> Row:
    """Show a flight."""
    return shown(desk.one("flights", flight_id), "price")


@tool(origin=_TOWN, destination=_TOWN)
def search_flights(desk: Desk, origin: str, destination: str) -> list[Row]:
    """List the coming flights between two towns that have seats."""
    found = desk.rows(
        "SELECT id, day, departs, price, seats FROM flights WHERE origin = ? AND destination = ? AND day > ? "
        "AND seats > 0 ORDER BY day, departs",
        origin,
        destination,
        str(TODAY),
    )
    return [shown(row, "price") for row in found]


@tool(customer_id=TEXT, flight_id=TEXT, insured=one_of("yes", "no"))
def book_flight(desk: Desk, customer_id: str, flight_id: str, insured: str = "no") -> Row:
    """Book a flight for a customer."""
    desk.one("customers", customer_id)
    flight = _bookable(desk, flight_id)
    booking = desk.next_id("bookings", "B")
    desk.add(
        "bookings",
        id=booking,
        customer=customer_id,
        flight=flight_id,
        status="booked",
        paid=flight["price"],
        insured=insured,
        bags=0,
        booked=str(TODAY),
    )
    desk.set("flights", flight_id, seats=flight["seats"] - 1)
    return {"booking": booking, "paid": figure(flight["price"])}


@tool(booking_id=TEXT, refund=AMOUNT)
def cancel_booking(desk: Desk, booking_id: str, refund: float) -> Row:
    """Cancel a booking and pay an amount back."""
    booking = _open(desk, booking_id)
    if cents(refund) > booking["paid"]:
        most = figure(booking["paid"])
        raise Refused(f"The argument 'refund' is more than was paid: {most} at most, got {refund}.")
    desk.set("bookings", booking_id, status="cancelled", paid=booking["paid"] - cents(refund))
    return {"cancelled": booking_id, "refund": refund}


@tool(booking_id=TEXT, flight_id=TEXT, charge=AMOUNT)
def change_flight(desk: Desk, booking_id: str, flight_id: str, charge: float) -> Row:
    """Move a booking to another flight and charge an amount."""
    booking, flight = _open(desk, booking_id), _bookable(desk, flight_id)
    old = desk.one("flights", booking["flight"])
    desk.set("flights", old["id"], seats=old["seats"] + 1)
    desk.set("flights", flight_id, seats=flight["seats"] - 1)
    desk.set("bookings", booking_id, flight=flight_id, paid=booking["paid"] + cents(charge))
    return {"booking": booking_id, "flight": flight_id, "charged": charge}


@tool(booking_id=TEXT, bags=WHOLE, charge=AMOUNT)
def add_bags(desk: Desk, booking_id: str, bags: int, charge: float) -> Row:
    """Add bags to a booking and charge an amount."""
    booking = _open(desk, booking_id)
    if booking["bags"] + bags > 5:
        raise Refused(f"Booking {booking_id} has {booking['bags']} bags; five is the most.")
    desk.set("bookings", booking_id, bags=booking["bags"] + bags, paid=booking["paid"] + cents(charge))
    return {"booking": booking_id, "bags": booking["bags"] + bags, "charged": charge}


@tool(city=_TOWN)
def search_hotels(desk: Desk, city: str) -> list[Row]:
    """List the hotels of a town that have rooms."""
    found = desk.rows("SELECT * FROM hotels WHERE city = ? AND rooms > 0 ORDER BY id", city)
    return [shown(row, "nightly") for row in found]


@tool(hotel_id=TEXT)
def get_hotel(desk: Desk, hotel_id: str) -> Row:
    """Show a hotel."""
    return shown(desk.one("hotels", hotel_id), "nightly")


@tool(customer_id=TEXT, hotel_id=TEXT, arrives=DAY, nights=WHOLE)
def book_hotel(desk: Desk, customer_id: str, hotel_id: str, arrives: str, nights: int) -> Row:
    """Book a hotel room for a customer."""
    desk.one("customers", customer_id)
    hotel = desk.one("hotels", hotel_id)
    if hotel["rooms"] < 1:
        raise Refused(f"Hotel {hotel_id} is full; look for another with search_hotels.")
    if arrives <= str(TODAY):
        raise Refused(f"The argument 'arrives' must be after today, {TODAY}, got {arrives}.")
    stay, paid = desk.next_id("stays", "S"), hotel["nightly"] * nights
    desk.add(
        "stays",
        id=stay,
        customer=customer_id,
        hotel=hotel_id,
        arrives=arrives,
        nights=nights,
        status="booked",
        paid=paid,
    )
    desk.set("hotels", hotel_id, rooms=hotel["rooms"] - 1)
    return {"stay": stay, "paid": figure(paid)}


@tool(stay_id=TEXT)
def cancel_stay(desk: Desk, stay_id: str) -> Row:
    """Cancel a hotel stay and pay all of it back."""
    stay = desk.one("stays", stay_id)
    if stay["status"] == "cancelled":
        raise Refused(f"Stay {stay_id} is cancelled already.")
    desk.set("stays", stay_id, status="cancelled", paid=0)
    hotel = desk.one("hotels", stay["hotel"])
    desk.set("hotels", hotel["id"], rooms=hotel["rooms"] + 1)
    return {"cancelled": stay_id, "refund": figure(stay["paid"])}


@tool(customer_id=TEXT, amount=AMOUNT)
def issue_voucher(desk: Desk, customer_id: str, amount: float) -> Row:
    """Give a customer a voucher."""
    desk.one("customers", customer_id)
    voucher = desk.next_id("vouchers", "V")
    desk.add("vouchers", id=voucher, customer=customer_id, amount=cents(amount))
    return {"voucher": voucher, "amount": amount}


def _open(desk: Desk, booking_id: str) -> Row:
    booking = desk.one("bookings", booking_id)
    if booking["status"] != "booked":
        raise Refused(f"Booking {booking_id} is {booking['status']} already; nothing can be changed in it.")
    if desk.one("flights", booking["flight"])["day"] <= str(TODAY):
        raise Refused(f"The flight of booking {booking_id} has left; nothing can be changed in it.")
    return booking


def _bookable(desk: Desk, flight_id: str) -> Row:
    flight = desk.one("flights", flight_id)
    if flight["day"] <= str(TODAY):
        raise Refused(f"Flight {flight_id} left on {flight['day']}; today is {TODAY}.")
    if flight["seats"] < 1:
        raise Refused(f"Flight {flight_id} is full; look for another with search_flights.")
    return flight


TOOLS: tuple[Tool, ...] = (
    find_customer, get_customer, list_bookings, list_stays, get_booking, get_flight, search_flights, book_flight,
    cancel_booking, change_flight, add_bags, search_hotels, get_hotel, book_hotel, cancel_stay, issue_voucher, calculate,
)  # fmt: skip

"""Routes that compete, and conflicts that registration refuses."""

from pyreframework import Pyre

app = Pyre()


def named(name):
    def handler(req):
        return {"route": name, "params": {k: str(v) for k, v in req.params.items()}}

    return handler


for pattern in [
    "/",
    "/users",
    "/users/me",
    "/users/{id:int}",
    "/users/{name}",
    "/users/{id:int}/posts",
    "/users/{name}/posts/{post}",
    "/files/{*path}",
    "/files/special",
    "/files/{name}/raw",
    "/assets/{p:path}",
    "/x/{v:uuid}",
    "/x/{v:float}",
    "/x/{v:int}",
    "/x/{v}",
    "/trailing/",
    "/caf\u00e9",
    "/a/{b}/c/{d}/e/{f}",
    "/a/b/c/d/e/{*rest}",
]:
    app.get(pattern, named(pattern))

app.post("/users", named("POST /users"))
app.head("/own-head", lambda req: "")
app.get("/own-head", named("/own-head"))
app.options("/own-options", lambda req: "mine")
app.route("report", "/caldav", named("REPORT /caldav"))
app.delete("/only-delete", named("DELETE"))
app.patch("/only-delete", named("PATCH"))


def conflicts():
    pairs = {
        "same": ("GET", "/users", "/users"),
        "same parameter": ("GET", "/users/{a}", "/users/{b}"),
        "same typed": ("GET", "/users/{a:int}", "/users/{b:int}"),
        "same catch-all": ("GET", "/f/{*a}", "/f/{*b}"),
    }
    said = {}
    for name, (method, first, second) in pairs.items():
        other = Pyre()
        other.route(method, first, named(first))
        try:
            other.route(method, second, named(second))
        except ValueError as error:
            said[name] = [first, second, str(error)]
        else:
            said[name] = [first, second, "accepted"]
    return said


CONFLICTS = conflicts()
app.get("/conflicts", lambda req: CONFLICTS)


@app.get("/main", gil=True)
def on_main(req):
    return {"route": "/main", "params": {}}


app.run()

"""The program whose page the tests and the documentation show."""


class Column:
    def __set_name__(self, owner, name):
        self.name = name

    def __repr__(self):
        return "Column()"


class Namespace(dict):
    pass


class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases, schema):
        return Namespace(key="id")

    def __new__(mcs, name, bases, namespace, schema):
        return super().__new__(mcs, name, bases, dict(namespace), schema=schema)

    def __init__(cls, name, bases, namespace, schema):
        super().__init__(name, bases, namespace)


class Table:
    def __init_subclass__(cls, schema):
        cls.schema = schema


class Point(Table, metaclass=Meta, schema="geometry"):
    """A point of a drawing."""

    x = Column()
    y = Column()
    for key in ("x", "y"):
        axes = (*locals().get("axes", ()), key)
    del key

    class Corners(list[int]):
        pass

    def shifted(self, by):
        return __class__(self.x + by, self.y)

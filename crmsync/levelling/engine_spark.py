"""The same programs on Spark, through Spark Connect: tables are Parquet in a scratch folder that its machines share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.errors import ConfigError, DataError, StoreError
from crmsync.levelling.engine import Turn
from crmsync.levelling.spark_session import (
    REMOTE,
    SCRATCH,
    divided_nothing,
    forgiving,
    open_session,
    spark_address,
    told,
)
from crmsync.levelling.sql import Sql
from crmsync.levelling.sql_spark import spark_text


class SparkEngine:
    """A Spark Connect server, on this machine or a cluster's. What is computed lies as Parquet until it is dropped."""

    def __init__(self, remote: str, scratch: Path | None = None, token: str | None = None) -> None:
        """`scratch`: a folder that this machine and Spark's see under one path; needed unless Spark runs here.

        Errors: ConfigError (address, extra not installed, no server, no scratch folder), StoreError.
        """
        address = spark_address(remote)
        if scratch is None and not address.here:
            raise ConfigError(f"{REMOTE} names another machine: {SCRATCH} must name a folder that both see")
        if scratch is not None and not scratch.is_dir():
            raise ConfigError(f"{SCRATCH}: the folder {scratch} does not exist")
        self._session = open_session(address, token)
        self._shared = scratch is not None
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="crmsync-spark-", dir=scratch)).resolve()
            if scratch is not None:  # whoever may work in it may read and write here
                self._folder.chmod(scratch.stat().st_mode & 0o777)
        except OSError as error:
            self._session.stop()
            raise StoreError(f"{scratch or tempfile.gettempdir()}: cannot be written to: {error.strerror}") from error
        self._views: dict[str, str] = {}
        self._places: dict[str, Path] = {}
        self._texts: dict[str, str] = {}
        self._made = self._shown = 0

    def register(self, name: str, source: pa.Table | Path) -> None:
        place = self._place()
        try:
            if isinstance(source, pa.Table):
                pq.write_table(source, place)
            elif self._shared:
                shutil.copyfile(source, place)
            else:
                place = source.resolve()
            schema = pq.read_schema(place)
        except (OSError, pa.ArrowException) as error:
            what = source if isinstance(source, Path) else name
            raise DataError(f"{what}: cannot be read: {str(error).splitlines()[0]}") from error
        from pyspark.sql.pandas.types import from_arrow_schema

        with told():
            self._read_back(name, place, from_arrow_schema(schema))

    def run(self, name: str, query: Sql) -> str:
        with told():
            text = spark_text(query, self._views, ordered=False)
            place, schema = self._computed(lambda: self._written(text))
            self._read_back(name, place, schema)
        return name

    def _written(self, text: str) -> tuple[Path, Any]:
        frame = self._typed(self._session.sql(text))
        place = self._place()
        frame.write.parquet(_uri(place))
        return place, frame.schema

    def _computed(self, action: Callable[[], Any]) -> Any:
        """What `action` gives; once more unchecked where Sail says that a part without rows is divided by zero."""
        try:
            return action()
        except Exception as error:
            if not divided_nothing(error):
                raise
        try:
            with forgiving(self._session):
                self._define_again()
                return action()
        finally:
            self._define_again()

    def _define_again(self) -> None:
        """Views keep the checks of the session that was there when they were made."""
        for view, text in self._texts.items():
            self._session.sql(text).createOrReplaceTempView(view)

    def spread(self, name: str, query: Sql, by: str) -> str:  # noqa: ARG002
        return self.run(name, query)

    def define(self, name: str, query: Sql) -> str:
        with told():
            text = spark_text(query, self._views)
            self._show(name, self._session.sql(text))
            self._texts[self._views[name]] = text
        return name

    def read(self, query: Sql) -> pa.Table:
        with told():
            text = spark_text(query, self._views)
            found = self._computed(lambda: self._session.sql(text).toArrow())
            return found.cast(pa.schema([pa.field(field.name, _plain(field.type)) for field in found.schema]))

    def in_turn(
        self,
        name: str,
        turn: Turn,
        *,
        at_once: bool = False,  # noqa: ARG002
        keep: bool = False,
    ) -> Iterator[list[pa.Table]]:
        # one turn, whatever `at_once` says: how much is held at a time is for Spark to decide
        made = [self.run(one, query) for one, query in turn.tables]
        for one, query in turn.views:
            self.define(one, query)
        found = [self.read(query) for query in turn.reads]
        self.drop([*made, *(one for one, _ in turn.views), *([] if keep else [name])])
        yield found

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            view = self._views.pop(name, None)
            if view is not None:
                self._texts.pop(view, None)
                with told():
                    self._session.catalog.dropTempView(view)
            self._forget(self._places.pop(name, None))

    def close(self) -> None:
        """End the session and delete what was computed."""
        self._session.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self) -> Path:
        self._made += 1
        return self._folder / f"{self._made}.parquet"

    def _forget(self, place: Path | None) -> None:
        if place is not None and place.is_relative_to(self._folder):
            shutil.rmtree(place, ignore_errors=True) if place.is_dir() else place.unlink(missing_ok=True)

    def _typed(self, frame: Any) -> Any:
        """A column of nothing but NULL has no type in Spark, and Parquet needs one; DuckDB takes INT."""
        from pyspark.sql.types import NullType

        types = [field.dataType for field in frame.schema.fields]
        if not any(isinstance(kind, NullType) for kind in types):
            return frame
        kinds = {field.name: "INT" for field in frame.schema.fields if isinstance(field.dataType, NullType)}
        return frame.withColumns({name: frame[_quoted(name)].cast(kind) for name, kind in kinds.items()})

    def _read_back(self, name: str, place: Path, schema: Any) -> None:
        # with its schema said there is nothing to look up in the files, and no column that is never null: Sail trusts
        # that promise also where its own files break it
        columns = ", ".join(f"{_quoted(field.name)} {_ddl(field.dataType)}" for field in schema.fields)
        self._show(name, self._session.read.schema(columns).parquet(_uri(place)))
        self._forget(self._places.get(name))
        self._places[name] = place

    def _show(self, name: str, frame: Any) -> None:
        """Make a frame readable as `name`. Views have plain names: Spark refuses others."""
        self._shown += 1  # never the same name twice: a view may be made from the one that it takes the place of
        view = f"v{self._shown}_" + "".join(one if one.isalnum() and one.isascii() else "_" for one in name)
        frame.createOrReplaceTempView(view)
        self._views[name] = view


def _uri(place: Path) -> str:
    """A file of this machine, whatever file system the cluster takes by default."""
    return f"file://{place}"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _ddl(kind: Any) -> str:
    """A type as Spark SQL writes it, any part of it nullable."""
    from pyspark.sql.types import ArrayType, NullType, StructType

    if isinstance(kind, StructType):
        return f"STRUCT<{', '.join(f'{_quoted(field.name)}: {_ddl(field.dataType)}' for field in kind.fields)}>"
    if isinstance(kind, ArrayType):
        return f"ARRAY<{_ddl(kind.elementType)}>"
    return "INT" if isinstance(kind, NullType) else str(kind.simpleString())


def _plain(kind: pa.DataType) -> pa.DataType:
    """The Arrow type that DuckDB gives for the same values."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("l", _plain(kind.value_type)))
    if pa.types.is_large_string(kind):
        return pa.string()
    return pa.int32() if pa.types.is_null(kind) else kind

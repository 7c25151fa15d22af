"""Contracts of ours for import-linter (pyproject.toml): each library has its rooms; no module imports itself."""

import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomsField(fields.Field[Mapping[str, tuple[str, ...]]]):
    """A TOML table: library to the modules and packages that may import it."""

    def parse(self, raw_data: object) -> Mapping[str, tuple[str, ...]]:
        """The table. Raises ValidationError."""
        if not isinstance(raw_data, Mapping) or not all(isinstance(rooms, list) for rooms in raw_data.values()):
            raise fields.ValidationError('must be a table of lists, such as dash = ["diagnosis_tool.viewer"]')
        return {library: tuple(rooms) for library, rooms in raw_data.items()}


class RoomsContract(Contract):
    """Each third-party library is imported, directly, in its rooms alone; one that is not in the table nowhere.

    Modules of ours and of Python's own have rooms only where the table says so.
    """

    type_name = "rooms"

    rooms = RoomsField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Looks at each direct import of what is not ours."""
        roots = tuple(self.session_options["root_packages"])
        rooms: Mapping[str, tuple[str, ...]] = self.rooms  # type: ignore[assignment]  # what the field parsed
        missing = sorted({room for named in rooms.values() for room in named} - graph.modules)
        if missing:
            raise ValueError(f"these rooms are no modules: {', '.join(missing)}")
        strangers = []
        for imported in sorted(graph.modules):
            top = imported if imported in rooms else imported.split(".")[0]
            if top not in rooms and (top in roots or top in sys.stdlib_module_names):
                continue
            for importer in sorted(graph.find_modules_that_directly_import(imported)):
                if not any(f"{importer}.".startswith(f"{room}.") for room in rooms.get(top, ())):
                    strangers.append((importer, top))
        return ContractCheck(kept=not strangers, metadata={"strangers": strangers, "rooms": rooms})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Says which import stands where it must not, and where it may."""
        for importer, library in check.metadata["strangers"]:
            rooms = check.metadata["rooms"].get(library)
            allowed = "has no rooms in pyproject.toml" if rooms is None else f"belongs to {', '.join(rooms)}"
            output.print_error(f"{importer} imports {library}, which {allowed}")


class NoCyclesContract(Contract):
    """No module imports itself through others, imports inside of functions included."""

    type_name = "no-cycles"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Sorts all modules so that each comes after what it imports."""
        imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
        try:
            TopologicalSorter(imports).prepare()
        except CycleError as error:
            return ContractCheck(kept=False, metadata={"cycle": error.args[1][::-1]})
        return ContractCheck(kept=True)

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Goes round one of them."""
        output.print_error(" -> ".join(check.metadata["cycle"]))

"""Warnings are kept by the thread that gives them."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

import clvmodels as clv
from clvmodels.errors import recorded


def test_each_recorder_gets_what_is_given_within_it_and_nothing_else_changes():
    before = list(warnings.filters), warnings.showwarning, warnings.warn
    with recorded() as outer:
        warnings.warn("first", UserWarning, stacklevel=1)
        with recorded() as inner:
            warnings.warn("second", RuntimeWarning, stacklevel=1)
            warnings.warn("second", RuntimeWarning, stacklevel=1)
        warnings.warn(clv.DataWarning("third"), stacklevel=1)
    assert [(type(one), str(one)) for one in outer] == [(UserWarning, "first"), (clv.DataWarning, "third")]
    assert [(type(one), str(one)) for one in inner] == [(RuntimeWarning, "second")] * 2
    assert (list(warnings.filters), warnings.showwarning, warnings.warn) == before
    with pytest.raises(KeyError), recorded():
        raise KeyError
    assert (list(warnings.filters), warnings.showwarning, warnings.warn) == before
    with pytest.raises(UserWarning, match="errors again"):
        warnings.warn("errors again", UserWarning, stacklevel=1)


def test_threads_keep_their_own_while_others_come_and_go():
    ready = threading.Barrier(4)

    def work(number):
        ready.wait()
        found = []
        for turn in range(50):
            with recorded() as given:
                warnings.warn(f"{number} {turn}", clv.DataWarning, stacklevel=1)
                with warnings.catch_warnings():  # as other packages do, in all threads at once
                    warnings.simplefilter("ignore")
                    warnings.warn("silenced", UserWarning, stacklevel=1)
                    warnings.warn(f"{number} {turn} again", clv.ConvergenceWarning, stacklevel=1)
            found += [str(one) for one in given if isinstance(one, (clv.DataWarning, clv.ConvergenceWarning))]
        return found

    before = list(warnings.filters), warnings.showwarning, warnings.warn
    with recorded() as mine, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert mine == []
    for number, sentences in enumerate(found):
        assert sentences == [f"{number} {turn}{again}" for turn in range(50) for again in ("", " again")]
    assert (list(warnings.filters), warnings.showwarning, warnings.warn) == before


def test_a_thread_without_a_recorder_shows_its_own():
    def one_of_another_thread():
        other = threading.Thread(target=lambda: warnings.warn("of another", UserWarning, stacklevel=1))
        with recorded() as given:
            other.start()
            other.join()
        assert given == []

    with pytest.warns(UserWarning, match="of another") as shown:
        one_of_another_thread()
    assert len(shown) == 1
    assert shown[0].filename == __file__


def test_kinds_are_kept_whatever_others_silence():
    with recorded(RuntimeWarning) as given, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("kept", RuntimeWarning, stacklevel=1)
        warnings.warn("silenced", UserWarning, stacklevel=1)
    assert list(map(str, given)) == ["kept"]

//! `ONBUILD`: triggers of a base.

use crate::case::Case;

pub(super) fn cases() -> Vec<Case> {
    let with = |name: &str, parent: &str, file: &str| Case::new(name, file).parent(parent);
    vec![
        with(
            "triggers run before everything else",
            "FROM base\nONBUILD COPY a.txt /trigger\nONBUILD RUN cat /trigger > /copied\n",
            "FROM parent\nRUN cat /copied > /again\n",
        ),
        with("triggers are gone in the image", "FROM base\nONBUILD ENV A=1\n", "FROM parent\nENV B=$A\n"),
        with(
            "triggers see build arguments",
            "FROM base\nONBUILD ARG A=d\nONBUILD RUN echo $A > /x\n",
            "FROM parent\nRUN echo $A > /y\n",
        )
        .arg("A", "given"),
        with(
            "triggers of every kind",
            "FROM base\nONBUILD ENV A=1\nONBUILD LABEL l=$A\nONBUILD WORKDIR /w\nONBUILD USER web\nONBUILD CMD [\"x\"]\nONBUILD ENTRYPOINT [\"e\"]\nONBUILD EXPOSE 80\nONBUILD VOLUME /v\nONBUILD STOPSIGNAL 9\nONBUILD HEALTHCHECK CMD h\nONBUILD SHELL [\"/bin/sh\", \"-e\", \"-c\"]\n",
            "FROM parent\n",
        ),
        with(
            "triggers with words as they stand",
            "FROM base\nONBUILD   run   echo  \"a  b\"   >  /x\n",
            "FROM parent\n",
        ),
        with(
            "triggers in two stages",
            "FROM base\nONBUILD RUN echo $FROM_BASE >> /x\n",
            "FROM parent AS one\nFROM parent\nCOPY --from=one /x /y\n",
        ),
        with(
            "a trigger that copies from a stage",
            "FROM base\nONBUILD COPY --from=source /s /t\n",
            "FROM base AS source\nRUN echo s > /s\nFROM parent\n",
        )
        .differs(
            "only Docker refuses it",
            "Docker 26.1 knows no stage in a trigger of an image; later versions do",
        ),
        with(
            "a trigger of a health check of none",
            "FROM base\nHEALTHCHECK CMD x\nONBUILD HEALTHCHECK NONE\n",
            "FROM parent\n",
        ),
        with("a trigger that fails", "FROM base\nONBUILD RUN false\n", "FROM parent\n").refused(),
        with(
            "a trigger that copies what is not there",
            "FROM base\nONBUILD COPY missing /x\n",
            "FROM parent\n",
        )
        .refused(),
        Case::new(
            "triggers of a stage of the same file run",
            "FROM base AS one\nONBUILD RUN echo one > /x\nFROM one\nRUN cat /x > /y\n",
        ),
        Case::new(
            "triggers of a stage are of no matter to itself",
            "FROM base\nRUN echo a > /a\nONBUILD RUN echo one > /x\nRUN ls / > /b\n",
        ),
    ]
}
